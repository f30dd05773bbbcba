"""Users and items with the highest event rates, from the heartbeats of the feed role's processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

KEY = "event_rates"
"""Field of a heartbeat: lists of (id, events per minute), by `users` and `items`."""
LISTED = 10
"""Maximum length of each list."""


class EventRate(msgspec.Struct, frozen=True):
    """The event rate of one user or item."""

    id: str
    events_per_minute: float
    """Averaged over about the last minute; the true rate is at least this high."""


class EventRates(msgspec.Struct, frozen=True):
    """The highest event rates of the last minute, highest first. The ids are personal data: for operators only."""

    users: list[EventRate] = []
    items: list[EventRate] = []


def merged(heartbeats: Iterable[Mapping[str, Any]]) -> EventRates:
    """Return the highest rates over all processes. All events of a user or an item go to one process."""
    reports = [heartbeat[KEY] for heartbeat in heartbeats if KEY in heartbeat]
    return EventRates(*(_highest([report[kind] for report in reports]) for kind in ("users", "items")))


def _highest(lists: Iterable[Sequence[tuple[str, float]]]) -> list[EventRate]:
    rates = Counter[str]()
    for entries in lists:
        rates.update(dict(entries))
    return [EventRate(*entry) for entry in rates.most_common(LISTED)]
