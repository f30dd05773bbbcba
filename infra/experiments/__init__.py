"""Experiments: the settings that arms may set, and the rules of their definitions."""
