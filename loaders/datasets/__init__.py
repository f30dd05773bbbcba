"""Readers of known data sets and tables, and the synthetic data set of the demo."""
