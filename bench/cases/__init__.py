"""Benchmark cases, one module per figure."""
