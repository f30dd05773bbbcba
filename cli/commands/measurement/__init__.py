"""Commands that measure: the quality of models and search, and speed on this machine."""
