"""Experiments: what arms may set, and the rules of their definitions."""
