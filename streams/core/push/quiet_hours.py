"""Quiet hours: times of the day by the clock of a place, as spells of real time.

A local time that comes twice means the first time; one that is skipped comes as much later as the clocks were moved
(RFC 5545, 3.3.5). So a spell of eight hours lasts seven or nine in two nights of the year.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from schemas.types import QuietHours
from schemas.zone import zone_of

_DAY = timedelta(days=1)


class QuietInterval(NamedTuple):
    """What holds at a moment, and until when it does at least."""

    quiet: bool
    until_ms: int


def quiet_interval(hours: QuietHours, at_ms: int) -> QuietInterval:
    """Return whether it is quiet at a time, and until when."""
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
