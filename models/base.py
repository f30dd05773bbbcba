"""The interface of all item models, with its events, queries and rankings.

A model learns from events as they arrive and scores items for queries at any time. It does no I/O, reads no clock, and
draws only from its own random generator. It schedules its refits by event count, so that a batch of events has exactly
the same effect as its events one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.vocabulary import Vocabulary

Scores = NDArray[np.float64]


class ModelEvent(msgspec.Struct, frozen=True, gc=False):
    """One interaction, as models learn it."""

    user_id: str
    item_id: str
    at_ms: int
    weight: float
    """Signed strength, from `models.weight`."""
    rating: float | None = None
    """Rating on [0, 1]; None without one."""


class ModelQuery(msgspec.Struct, frozen=True, gc=False):
    """A request for recommendations: the user with recent items and exclusions."""

    user_id: str
    recent: Sequence[tuple[str, float]] = ()
    """Last items with their weights, newest first."""
    exclude: frozenset[str] = frozenset()
    at_ms: int = 0
    """Time of the query in ms since the epoch, for time-aware models."""
    read_at_ms: int | None = None
    """Time at which the user reads the list, if it is later and the model makes lists for readers who come back."""
    history: Sequence[ModelEvent] | None = None
    """Complete history of the user, oldest first, where models may not have learned all of it: of a user held out from
    learning, or with models that lag behind. Models that fold users in take it from here."""


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """At most k items, best first, with their scores."""

    items: Sequence[str]
    scores: Scores
    """(len(items),), in descending order."""


class Model(ABC):
    """A model that learns online and scores items; the conformance suite checks its contract."""

    name: str

    def __init__(self) -> None:
        self.items = Vocabulary()
        """Every item of the learned events, numbered in the order of first occurrence."""

    @abstractmethod
    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events, in order."""

    @abstractmethod
    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return (len(queries), len(items)) scores, higher is better; not finite for unscored items.

        A query without history gets the model's fallback. Excluded items are scored like all others.
        """

    def recommend(self, queries: Sequence[ModelQuery], k: int) -> list[Ranked]:
        """Return the best items of each query, excluded items left out.

        Args:
            queries: The queries.
            k: Number of items per query, at most.
        """
        names = self.items.names
        return [top(names, row, k, query.exclude) for query, row in zip(queries, self.scores(queries), strict=True)]


def top(items: Sequence[str], scores: Scores, k: int, exclude: frozenset[str] = frozenset()) -> Ranked:
    """Return the k best items: non-finite scores last, ties by id.

    Args:
        items: Item ids.
        scores: (len(items),) scores, higher is better.
        k: Number of items, at most.
        exclude: Item ids to leave out.

    >>> top(["a", "b", "c", "d"], np.array([1.0, 3.0, np.nan, 3.0]), 3, exclude=frozenset({"a"})).items
    ['b', 'd', 'c']
    """
    keep = [index for index, item in enumerate(items) if item not in exclude]
    kept_scores = np.where(np.isfinite(scores), scores, -np.inf)[keep]
    if len(keep) > k:  # a partial sort may cut through ties: keep all that tie with the last
        bound = np.partition(kept_scores, len(keep) - k)[len(keep) - k]
        keep = [index for index, score in zip(keep, kept_scores, strict=True) if score >= bound]
        kept_scores = kept_scores[kept_scores >= bound]
    order = sorted(range(len(keep)), key=lambda at: (-kept_scores[at], items[keep[at]]))[:k]
    return Ranked([items[keep[at]] for at in order], kept_scores[order])
