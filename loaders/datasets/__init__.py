"""Readers of known data sets and tables, and the world of the demo."""
