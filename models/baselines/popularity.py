"""Popularity baseline: the event weight of each item, with or without decay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import decay
from models.base import Model, ModelEvent, ModelQuery, Scores


class Popularity(Model):
    """Scores by the sum of positive weights, each decayed with a half-life; an infinite one never decays.

    >>> from models.base import ModelQuery
    >>> model = Popularity(half_life_days=1.0)
    >>> model.learn([ModelEvent("ann", "a", 0, 1.0), ModelEvent("bob", "a", 0, 1.0), ModelEvent("bob", "b", 0, 1.0)])
    >>> model.recommend([ModelQuery("cleo"), ModelQuery("ann", exclude=frozenset({"a"}))], 2)[0].items
    ['a', 'b']
    """

    def __init__(self, *, half_life_days: float = float("inf")) -> None:
        """Start empty.

        Args:
            half_life_days: Half-life of the weights, in days; infinite for no decay.
        """
        super().__init__()
        self.name = "popularity" if np.isinf(half_life_days) else "decayed-popularity"
        self._rate = decay.rate_of_half_life(half_life_days)
        self._sums: list[float] = []

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Add the weight of each event to its item."""
        for event in events:
            item = self.items.add(event.item_id)
            if item == len(self._sums):
                self._sums.append(decay.EMPTY)
            if event.weight > 0:
                self._sums[item] = decay.add(self._sums[item], event.weight, at_ms=event.at_ms, rate=self._rate)

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return the logarithm of each item's popularity, the same for everyone."""
        return np.tile(np.array(self._sums), (len(queries), 1))
