"""Times as data sets write them: seconds, milliseconds or finer since 1970, or ISO 8601."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from statistics import median

_UNITS_MS = ((1e17, 1e-6), (1e14, 1e-3), (1e11, 1.0), (0.0, 1e3))
"""From which size on a number counts nanoseconds, microseconds, milliseconds, seconds. 1e11 s is the year 5138."""


def read(times: Sequence[object]) -> list[int | ValueError]:
    """Return times in ms since 1970; what cannot be read comes back as the error that says why.

    The unit of numbers is that of their median, so that one odd number does not get a unit of its own.
    """
    parsed = [_parse(time) for time in times]
    numbers = [time for time in parsed if isinstance(time, float)]
    unit = unit_ms(median(numbers)) if numbers else 1.0
    return [round(time * unit) if isinstance(time, float) else time for time in parsed]


def unit_ms(size: float) -> float:
    """Return how many milliseconds one is, for numbers of this size."""
    return next(unit for least, unit in _UNITS_MS if size >= least)


def _parse(time: object) -> float | int | ValueError:
    """Return a bare number as a float, a date as whole milliseconds."""
    if isinstance(time, datetime):
        return _ms(time)
    if isinstance(time, date):
        return _ms(datetime(time.year, time.month, time.day))
    text = str(time).strip()
    try:
        number = float(text)
    except ValueError:
        return _iso(text)
    return number if 0 <= number < float("inf") else ValueError(f"the time {text} lies before 1970 or nowhere")


def _iso(text: str) -> int | ValueError:
    try:
        at_ms = _ms(datetime.fromisoformat(text))
    except ValueError:
        return ValueError(f"{text!r} is no time")
    return at_ms if at_ms >= 0 else ValueError(f"the time {text} lies before 1970")


def _ms(moment: datetime) -> int:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1000)
