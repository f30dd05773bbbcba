"""Metrics of what users see and do, added up over all processes."""
