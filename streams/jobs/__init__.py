"""Batch consumers and other work that needs no table."""
