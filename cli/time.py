"""Times on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from cli.duration import parse_duration
from domain.timestamp import epoch_ms
from infra import clock
from infra.error import OperatorError

TIME_HELP = "2026-11-24T14:00+01:00, 2026-11-24T14:00 or 2026-11-24 (UTC), or how long ago: 90s, 2h, 7d."
From = Annotated[str | None, typer.Option("--from", help=f"Only from this time on: {TIME_HELP}", show_default=False)]
Until = Annotated[str | None, typer.Option("--until", help=f"Only before this time: {TIME_HELP}", show_default=False)]


def parse_time(text: str) -> int:
    """Return a time in ms since the epoch: an ISO date or time, or a duration for so long ago.

    >>> parse_time("1970-01-02T00:00:01")
    86401000

    Raises:
        OperatorError: the text is neither.
    """
    try:
        return epoch_ms(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        pass
    try:
        return clock.now_ms() - round(parse_duration(text) * 1_000)
    except OperatorError:
        raise OperatorError(f"{text!r} is no time.", f"Give one such as {TIME_HELP}") from None


def parse_bound(text: str | None) -> int | None:
    """Return a time in ms since the epoch; None for none.

    Raises:
        OperatorError: the text is no time.
    """
    return None if text is None else parse_time(text)
