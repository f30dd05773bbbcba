"""Chance: the floor that every other model must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.model import Event, Query, Ranked, top


class Chance:
    """Ranks the items it has seen in an order drawn for each query."""

    name = "random"

    def __init__(self, *, seed: int = 0) -> None:
        self._draw = np.random.default_rng(seed)
        self._items: dict[str, None] = {}

    def learn(self, events: Sequence[Event]) -> None:
        """Remember which items there are."""
        self._items.update(dict.fromkeys(event.item_id for event in events))

    def recommend(self, queries: Sequence[Query], k: int) -> list[Ranked]:
        """Return items in a random order."""
        items = list(self._items)
        return [top(items, self._draw.random(len(items)), k, query.exclude) for query in queries]
