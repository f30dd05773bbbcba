"""The commands, one module each, by subject."""
