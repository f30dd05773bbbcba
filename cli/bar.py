"""Progress bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from infra.kafka.readers.record_window import OnReadProgress


def bars(*, transient: bool = False) -> Progress:
    """Return a progress display on stderr, so that stdout contains only the result."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True, highlight=False), transient=transient)


@contextmanager
def read_bar(description: str) -> Iterator[OnReadProgress]:
    """Show the progress of a reading of topics; yield the function that takes the offsets passed, and those to pass.

    Args:
        description: The text before the bar.
    """
    with bars(transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda count, total: bar.update(task, completed=count, total=total or None)
