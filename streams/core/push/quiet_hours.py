"""Quiet hours: local times of day, converted to intervals of real time.

An ambiguous local time means its first occurrence; a skipped one shifts by the clock change (RFC 5545, 3.3.5). An
interval of eight hours therefore lasts seven or nine hours on two nights of the year.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from domain.zone import zone_of
from schemas.types import QuietHours

_DAY = timedelta(days=1)


class QuietInterval(NamedTuple):
    """Whether it is quiet at a time, and the earliest time at which that can change."""

    quiet: bool
    until_ms: int


def quiet_interval(hours: QuietHours, at_ms: int) -> QuietInterval:
    """Return whether a time, in ms since the epoch, is within quiet hours, and until when."""
    zone = zone_of(hours.timezone, "UTC")
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    day = datetime.fromtimestamp(at_ms / 1000, zone).date() - _DAY
    while True:
        begins = _instant_ms(day, start, zone)
        if at_ms < begins:
            return QuietInterval(quiet=False, until_ms=begins)
        ends = _instant_ms(day if start < end else day + _DAY, end, zone)
        if at_ms < ends:
            return QuietInterval(quiet=True, until_ms=ends)
        day += _DAY


def _instant_ms(day: date, at: time, zone: tzinfo) -> int:
    return round(datetime.combine(day, at, zone).timestamp() * 1000)
