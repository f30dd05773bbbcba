"""Bars for what takes its time."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def bars(*, transient: bool = False) -> Progress:
    """Return a display of bars on stderr, which leaves stdout to the answer."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=transient)
