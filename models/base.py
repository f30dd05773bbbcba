"""The one interface of all models, and what goes in and out of it.

A model learns from events as they arrive and scores items for queries at any moment between them. It does no I/O, reads
no clock, and draws only from the generator it was built with. What it learns in batches (a refit) it does by itself,
after so many events, so that a batch of events teaches exactly what its events teach one by one.
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
    """One interaction as a model sees it."""

    user_id: str
    item_id: str
    at_ms: int
    weight: float
    """Signed strength, from `models.weight`."""
    rating: float | None = None
    """The rating on [0, 1], where there is one."""


class ModelQuery(msgspec.Struct, frozen=True, gc=False):
    """Whom to recommend for."""

    user_id: str
    recent: Sequence[tuple[str, float]] = ()
    """Last items with their weights, newest first."""
    exclude: frozenset[str] = frozenset()
    at_ms: int = 0
    """When it is asked, for models that care."""
    history: Sequence[ModelEvent] = ()
    """All that is known of a user whom the model has not learned from, oldest first, for models that fold users."""


class Ranked(msgspec.Struct, frozen=True, gc=False):
    """At most k items, best first, with their scores."""

    items: Sequence[str]
    scores: Scores
    """(len(items),), falling."""


class Model(ABC):
    """Learns and scores; see the conformance suite for what every model owes."""

    name: str

    def __init__(self) -> None:
        self.items = Vocabulary()
        """Every item heard of in events; models give out the numbers as they learn."""

    @abstractmethod
    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Learn from events, in order."""

    @abstractmethod
    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return (len(queries), len(items)) scores, higher is better, not finite where there is nothing to say.

        A query without history gets the model's fallback. Excluded items are scored like all others.
        """

    def recommend(self, queries: Sequence[ModelQuery], k: int) -> list[Ranked]:
        """Return the best items of each query among those heard of and not excluded."""
        names = self.items.names
        return [top(names, row, k, query.exclude) for query, row in zip(queries, self.scores(queries), strict=True)]


def top(items: Sequence[str], scores: Scores, k: int, exclude: frozenset[str] = frozenset()) -> Ranked:
    """Return the k best of scored items: non-finite scores last, ties by id, excluded items left out."""
    keep = [index for index, item in enumerate(items) if item not in exclude]
    ranked = np.where(np.isfinite(scores), scores, -np.inf)[keep]
    if len(keep) > k:  # a partial sort may cut through ties: keep all that tie with the last
        bound = np.partition(ranked, len(keep) - k)[len(keep) - k]
        keep = [index for index, score in zip(keep, ranked, strict=True) if score >= bound]
        ranked = ranked[ranked >= bound]
    order = sorted(range(len(keep)), key=lambda at: (-ranked[at], items[keep[at]]))[:k]
    return Ranked([items[keep[at]] for at in order], ranked[order])
