"""Popularity: what everyone acts on, with or without decay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models import decay
from models.model import Event, Query, Ranked, top


class Popularity:
    """Ranks by the sum of positive weights, each decayed with a half-life; an infinite one never decays."""

    def __init__(self, *, half_life_days: float = float("inf")) -> None:
        self.name = "popularity" if np.isinf(half_life_days) else "decayed-popularity"
        self._rate = decay.rate_of_half_life(half_life_days)
        self._sums: dict[str, float] = {}

    def learn(self, events: Sequence[Event]) -> None:
        """Add the weight of each event to its item."""
        for event in events:
            known = self._sums.setdefault(event.item_id, decay.EMPTY)
            if event.weight > 0:
                self._sums[event.item_id] = decay.add(known, event.weight, at_ms=event.at_ms, rate=self._rate)

    def recommend(self, queries: Sequence[Query], k: int) -> list[Ranked]:
        """Return the most popular items that are not excluded."""
        items = list(self._sums)
        scores = np.array([self._sums[item] for item in items])
        return [top(items, scores, k, query.exclude) for query in queries]
