"""Checks of the code's own conventions, run by `make check`."""
