"""Measures of a replay's outcomes, with their confidence intervals."""
