"""Benchmarks of the API over HTTP."""
