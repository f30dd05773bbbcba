"""The console of the commands that print tables."""

from __future__ import annotations

from rich.console import Console

_WIDTH = 220
"""Width of tables written to a file or pipe, so that no figure is cut off."""


def new_console() -> Console:
    """Return a console as wide as the terminal, or without one as wide as the widest table."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH)
