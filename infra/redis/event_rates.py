"""Users and items with the highest event rates, as the processes of the feed role report them in their heartbeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

KEY = "event_rates"
"""The field of a heartbeat: lists of (id, events per minute), by `users` and `items`."""
LISTED = 10
"""Users, and items, in a list at most."""


class EventRate(msgspec.Struct, frozen=True):
    """The rate at which events of one user, or on one item, arrive."""

    id: str
    events_per_minute: float
    """Averaged over about the last minute; the true rate is at least this high."""


class EventRates(msgspec.Struct, frozen=True):
    """The highest event rates of the last minute, highest first. Names are personal data: for operators only."""

    users: list[EventRate] = []
    items: list[EventRate] = []


def merged(heartbeats: Iterable[Mapping[str, Any]]) -> EventRates:
    """Return the highest rates over all processes. A user's events all go to one process, and so do an item's."""
    reports = [heartbeat[KEY] for heartbeat in heartbeats if KEY in heartbeat]
    return EventRates(*(_highest([report[kind] for report in reports]) for kind in ("users", "items")))


def _highest(lists: Iterable[Sequence[tuple[str, float]]]) -> list[EventRate]:
    rates = Counter[str]()
    for entries in lists:
        rates.update(dict(entries))
    return [EventRate(*entry) for entry in rates.most_common(LISTED)]
