"""Schedule of triggers: weekdays and times of day, in each user's own time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.timestamp import utc_time

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One entry of the schedule."""

    weekdays: frozenset[int]
    at: time
    reason: str


class ScheduleSlot(NamedTuple):
    """One time at which an entry is due in a zone."""

    at_ms: int
    day: date
    """The local day; with the reason it identifies the slot, wherever its users are by then."""
    reason: str


def parse(table: str) -> tuple[ScheduleEntry, ...]:
    """Return the entries of a table such as `fri 17:00 friday-evening, daily 07:30 morning`; none for `off`."""
    if table == "off":
        return ()
    return tuple(_entry(*line.split()) for line in table.split(","))


def due_slots(schedule: Sequence[ScheduleEntry], zone: ZoneInfo, after_ms: int, upto_ms: int) -> list[ScheduleSlot]:
    """Return the slots in (after, upto], earliest first; splitting the interval gives the same slots.

    An ambiguous local time is due the first time. A skipped one is due later by the clock change; on a skipped day
    nothing is due.
    """
    day, last = _local(after_ms, zone).date(), _local(upto_ms, zone).date()
    slots: list[ScheduleSlot] = []
    while day <= last:
        for entry in schedule:
            at_ms = round(datetime.combine(day, entry.at, zone).timestamp() * 1000)
            if day.weekday() in entry.weekdays and after_ms < at_ms <= upto_ms and _local(at_ms, zone).date() == day:
                slots.append(ScheduleSlot(at_ms, day, entry.reason))
        day += _DAY
    return sorted(slots)


def _entry(days: str, at: str, reason: str) -> ScheduleEntry:
    weekdays = range(len(WEEKDAYS)) if days == "daily" else [WEEKDAYS.index(days)]
    return ScheduleEntry(frozenset(weekdays), time.fromisoformat(at), reason)


def _local(ms: int, zone: ZoneInfo) -> datetime:
    return utc_time(ms).astimezone(zone)
