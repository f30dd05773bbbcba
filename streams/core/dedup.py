"""Deduplication of events that were published twice, by their ids.

The ids of a user's events are remembered for a day by the broker's clock, as 63-bit fingerprints. The newest ones are
remembered for longer, and their number is bounded.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import TypeVar

from domain.timestamp import HOUR_MS

K = TypeVar("K", int, str)
WINDOW_HOURS = 24
"""Hours for which the id of an event is remembered."""


def fingerprint(event_id: str) -> int:
    """Return a 63-bit hash of an event id."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest()) >> 1


def lru_add(entries: dict[K, None], new: K, capacity: int) -> K | None:
    """Put an entry last; if there are more than `capacity`, remove and return the oldest."""
    entries.pop(new, None)
    entries[new] = None
    if len(entries) <= capacity:
        return None
    oldest = next(iter(entries))
    del entries[oldest]
    return oldest


def remember_event(
    ids: dict[int, None], hours: list[tuple[int, int]], event_id: int, at_ms: int, *, min_count: int, max_count: int
) -> int:
    """Remember the id of a new event, and forget ids that are older than the window.

    Args:
        ids: Fingerprints, the oldest first.
        hours: Number of fingerprints per hour since the epoch, the oldest first. All hours before the window are one
            entry, as are fingerprints of unknown hour.
        event_id: The fingerprint of the event.
        at_ms: The broker's append time, in ms since the epoch.
        min_count: Number of fingerprints kept regardless of age.
        max_count: Maximum number of fingerprints, also within the window.

    Returns:
        The number of fingerprints dropped within the window, for lack of room.
    """
    hour = at_ms // HOUR_MS
    if ids and not hours:
        hours.append((0, len(ids)))
    ids[event_id] = None
    if hours and hours[-1][0] >= hour:
        hours[-1] = hours[-1][0], hours[-1][1] + 1
    else:
        hours.append((hour, 1))
    while len(hours) > 1 and hours[1][0] < hour - WINDOW_HOURS:
        hours[:2] = [(hours[1][0], hours[0][1] + hours[1][1])]
    expired_count = hours[0][1] if hours[0][0] < hour - WINDOW_HOURS else 0
    evicted_count = max(len(ids) - max_count, min(expired_count, len(ids) - min_count), 0)
    for oldest in list(islice(ids, evicted_count)):
        del ids[oldest]
    _shorten(hours, evicted_count)
    return max(evicted_count - expired_count, 0)


def _shorten(hours: list[tuple[int, int]], count: int) -> None:
    """Remove the oldest `count` fingerprints from the hours."""
    while count:
        hour, there = hours[0]
        cut = min(there, count)
        count -= cut
        if cut < there:
            hours[0] = hour, there - cut
        else:
            del hours[0]


def deterministic_id(*parts: str) -> str:
    """Return an id of 32 characters derived from others, so that a record made again is recognised as a repeat."""
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
