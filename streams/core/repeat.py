"""Recognising an event that was published twice, by its id."""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar

K = TypeVar("K", int, str)


def fingerprint(event_id: str) -> int:
    """Return 63 bits that stand for an event id."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest()) >> 1


def remember(known: dict[K, None], new: K, most: int) -> K | None:
    """Put an entry last, and let the oldest give way when there are too many; return it."""
    known.pop(new, None)
    known[new] = None
    if len(known) <= most:
        return None
    oldest = next(iter(known))
    del known[oldest]
    return oldest


def derived(*parts: str) -> str:
    """Return an id, in 32 characters, that follows from others: what is made again is known as a repeat."""
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
