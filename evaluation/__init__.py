"""Offline evaluation of models by replay of a stream of real events in order."""
