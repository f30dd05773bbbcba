"""Base class of models with an embedding per user and item that grow with the stream."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.base import Model, ModelEvent, ModelQuery, Scores
from models.baselines.popularity import Popularity
from models.refitting import FALLBACK_HALF_LIFE_DAYS
from models.vocabulary import Vocabulary


class EmbeddingModel(Model):
    """Embeddings of users and items, with a fallback to decayed popularity.

    Args:
        dimensions: Length of an embedding.
        spread: Standard deviation of the numbers of a new embedding.
        seed: Seed of the generator that all randomness of the model comes from.
    """

    def __init__(self, dimensions: int, *, spread: float, seed: int) -> None:
        super().__init__()
        self._spread = spread
        self._generator = torch.Generator().manual_seed(seed)
        self._fallback = Popularity(half_life_days=FALLBACK_HALF_LIFE_DAYS)
        self.items = self._fallback.items
        self._users = Vocabulary()
        self._user = torch.empty(0, dimensions)
        self._item = torch.empty(0, dimensions)

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return the scores of the embedded items; decayed popularity for a query that says nothing of its user."""
        rows = np.full((len(queries), len(self.items)), -np.inf)
        for row, query in zip(rows, queries, strict=True):
            scores = self._score(query)
            if scores is None:
                row[:] = self._fallback.scores([query])[0]
            else:
                row[: len(self._item)] = scores.numpy()
        return rows

    @abstractmethod
    def _score(self, query: ModelQuery) -> Tensor | None:
        """Return the (items,) scores of all items with embeddings, or None without a known user or item."""

    def _count(self, event: ModelEvent) -> tuple[int, int]:
        """Count an event for the fallback, and return the numbers of its user and its item."""
        self._fallback.learn([event])
        return self._users.add(event.user_id), self.items.get(event.item_id)

    def _embedded_items(self, query: ModelQuery) -> list[tuple[int, float]]:
        """Return the query's items with embeddings, newest first, and the weights of their events."""
        numbers = [(self.items.get(item_id), weight) for item_id, weight in query.recent]
        return [(item, weight) for item, weight in numbers if 0 <= item < len(self._item)]

    def _grow(self) -> None:
        """Draw embeddings for new users and items."""
        self._user, self._item = self._grown(self._user, len(self._users)), self._grown(self._item, len(self.items))

    def _grown(self, table: Tensor, rows: int) -> Tensor:
        noise = torch.randn(rows - len(table), table.shape[1], generator=self._generator)
        return torch.cat([table, self._spread * noise])
