"""Situations of events: device type, time of day and location, and a user's affinities in each.

An affinity in a situation is a sum by category, or by topic for items without one, decayed as the user's other
affinities are. An event counts in the situations that its context states, and in that of its time of day by the user's
clock. The names and values of a context are compared without case.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from domain.timestamp import HOUR_MS
from domain.zone import zone_of
from schemas.event_context import first_label
from schemas.text import fold
from streams.core.byte_budget import total
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.ranking.catalog.event_time import local_ms

SITUATIONS = 12
"""Situations of a user with affinities; the one that is unused for longest is evicted."""
SITUATION_LABELS = 16
"""Labels with an affinity in a situation; the weakest are evicted."""
_LABEL_BYTES = 2 << 10
"""Byte budget of the labels of a situation."""
_VALUE_CHARS = 64
_CACHED = 10_000
"""Values of contexts, and quarters of an hour, whose situations are remembered."""
_QUARTER_MS = HOUR_MS // 4
"""The times of all zones differ by multiples of this."""
_TIME_OF_DAY = "time_of_day"
_NAMES = {"device_type": "device_type", "device": "device_type", _TIME_OF_DAY: _TIME_OF_DAY, "location": "location"}
"""Names in a context that state a situation, and the names of the situations."""
_TIMES_OF_DAY = ((5, "morning"), (12, "afternoon"), (17, "evening"), (22, "night"))
"""First local hour of each time of day; the hours before the first are those of the last."""


def stated_situations(context: Mapping[str, str]) -> list[str]:
    """Return the situations that a context states, one for each name.

    Args:
        context: The context of an event or a request.

    >>> stated_situations({"device_type": "Mobile", "location": "US", "surface": "home"})
    ['device_type=mobile', 'location=us']
    """
    situations: dict[str, str] = {}
    for name, text in context.items():
        kind = _NAMES.get(name.casefold())
        if kind is not None and (situation := _situation(kind, text)):
            situations.setdefault(kind, situation)
    return list(situations.values())


def with_time_of_day(situations: list[str], at_ms: int, *, timezone: str, default_timezone: str) -> list[str]:
    """Return the situations of an event with that of its time of day, unless its context states one.

    Args:
        situations: The situations that its context states.
        at_ms: The time of the event, in ms since the epoch.
        timezone: The time zone of the user; empty if unknown.
        default_timezone: The time zone of users who have not stated theirs.
    """
    if any(one.startswith(_TIME_OF_DAY) for one in situations):
        return situations
    return [*situations, _time_of_day(at_ms // _QUARTER_MS, timezone or default_timezone)]


def add_affinities(
    affinities: dict[str, dict[str, float]], situations: list[str], subject: ItemLabels, weight: float
) -> None:
    """Add an action to a user's affinities in some situations, in place.

    Args:
        affinities: The affinities by situation and label, the situation that was used last at the end.
        situations: The situations of the action.
        subject: The labels of its item.
        weight: The weight of the action.
    """
    labels = (subject.category,) if subject.category else subject.topics
    if not labels:
        return
    for situation in situations:
        sums = affinities[situation] = affinities.pop(situation, {})
        has_new = not all(name in sums for name in labels)
        for name in labels:
            sums[name] = sums.get(name, 0.0) + weight / len(labels)
        while has_new and (len(sums) > SITUATION_LABELS or total(sums) > _LABEL_BYTES):
            del sums[min(sums, key=lambda label: (abs(sums[label]), label))]
    while len(affinities) > SITUATIONS:
        del affinities[next(iter(affinities))]


@lru_cache(_CACHED)
def _situation(kind: str, text: str) -> str:
    """Return the situation of a value in a context; empty for an empty value."""
    value = first_label({kind: text}, kind)
    return f"{kind}={fold(value)[:_VALUE_CHARS]}" if value else ""


@lru_cache(_CACHED)
def _time_of_day(quarter: int, timezone: str) -> str:
    """Return the situation of a time of day, given as quarters of an hour since the epoch."""
    hour = local_ms(quarter * _QUARTER_MS, zone_of(timezone, "")) // HOUR_MS % 24
    name = next((name for start, name in reversed(_TIMES_OF_DAY) if hour >= start), _TIMES_OF_DAY[-1][1])
    return f"{_TIME_OF_DAY}={name}"
