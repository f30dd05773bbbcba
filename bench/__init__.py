"""Benchmarks: each case prints one line per figure."""
