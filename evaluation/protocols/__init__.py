"""Evaluation protocols: the stream of events, and its replay through a model."""
