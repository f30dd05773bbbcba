"""The one interface of all models, and what goes in and out of it.

A model learns from events as they arrive and recommends for queries at any moment between them. It does no I/O, reads
no clock, and draws only from the generator it was built with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray


class Event(msgspec.Struct, frozen=True, gc=False):
    """One interaction as a model sees it."""

    user_id: str
    item_id: str
    at_ms: int
    weight: float
    """Signed strength, from `models.weight`."""


class Query(msgspec.Struct, frozen=True, gc=False):
    """Whom to recommend for."""

    user_id: str
    recent: Sequence[tuple[str, float]] = ()
    """Last items with their weights, newest first."""
    exclude: frozenset[str] = frozenset()


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """At most k items, best first, with their scores."""

    items: Sequence[str]
    scores: NDArray[np.float64]
    """(len(items),), falling."""


class Model(Protocol):
    """Learns and recommends; see the conformance suite for what every model owes."""

    name: str

    def learn(self, events: Sequence[Event]) -> None:
        """Learn from events, in order. A batch teaches exactly what its events teach one by one."""
        ...

    def recommend(self, queries: Sequence[Query], k: int) -> list[Ranked]:
        """Return the best items of each query among those seen in events and not excluded.

        A query without history gets the model's fallback, so the answer is empty only when every item is excluded.
        """
        ...


def top(items: Sequence[str], scores: NDArray[np.float64], k: int, exclude: frozenset[str] = frozenset()) -> Ranked:
    """Return the k best of scored items: non-finite scores last, ties by id, excluded items left out."""
    keep = [index for index, item in enumerate(items) if item not in exclude]
    ranked = np.where(np.isfinite(scores), scores, -np.inf)[keep]
    if len(keep) > k:  # a partial sort may cut through ties: keep all that tie with the last
        bound = np.partition(ranked, len(keep) - k)[len(keep) - k]
        keep = [index for index, score in zip(keep, ranked, strict=True) if score >= bound]
        ranked = ranked[ranked >= bound]
    order = sorted(range(len(keep)), key=lambda at: (-ranked[at], items[keep[at]]))[:k]
    return Ranked([items[keep[at]] for at in order], ranked[order])
