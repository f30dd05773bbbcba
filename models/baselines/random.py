"""Random baseline: the floor that every other model must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.base import Model, ModelEvent, ModelQuery, Scores


class RandomModel(Model):
    """Scores each item with a random number per query."""

    name = "random"

    def __init__(self, *, seed: int = 0) -> None:
        """Start empty.

        Args:
            seed: Seed of the scores.
        """
        super().__init__()
        self._draw = np.random.default_rng(seed)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Register the items of the events."""
        for event in events:
            self.items.add(event.item_id)

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return uniform random scores on [0, 1)."""
        return self._draw.random((len(queries), len(self.items)))
