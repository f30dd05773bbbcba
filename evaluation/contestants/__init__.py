"""Evaluated models: those of the registry, and the blend that serves."""
