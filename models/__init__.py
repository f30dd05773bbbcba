"""Recommendation models in numpy and torch, without I/O."""
