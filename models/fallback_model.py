"""Base class of models that score one query at a time, and leave unknown users to decayed popularity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from models.base import Model, ModelEvent, ModelQuery, Scores
from models.baselines.popularity import Popularity

_HALF_LIFE_DAYS = 30.0


class FallbackModel(Model):
    """A model with a fallback, which numbers the items for both. A subclass lets the fallback learn every event, too.

    Args:
        half_life_days: Half-life of the fallback's popularity.
    """

    def __init__(self, *, half_life_days: float = _HALF_LIFE_DAYS) -> None:
        super().__init__()
        self._fallback = Popularity(half_life_days=half_life_days)
        self.items = self._fallback.items

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return the model's scores for each query; decayed popularity for a query that it can make nothing of."""
        rows = np.full((len(queries), len(self.items)), -np.inf)
        for row, query in zip(rows, queries, strict=True):
            scores = self._query_scores(query)
            if scores is None:
                [scores] = self._fallback.scores([query])
            row[: len(scores)] = scores
        return rows

    def know(self, items: Sequence[str]) -> None:
        """Number items before any event on them."""
        self._fallback.learn([ModelEvent("", item_id, 0, 0.0) for item_id in items])

    @abstractmethod
    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the scores of the first items, as many as the model knows; None for a query of unknown items only."""
