"""Base class of models with an embedding per user and item that grow with the stream."""

from __future__ import annotations

import torch
from torch import Tensor

from models.base import ModelEvent, ModelQuery
from models.fallback_model import FallbackModel
from models.vocabulary import Vocabulary


class EmbeddingModel(FallbackModel):
    """Embeddings of users and items.

    Args:
        dimensions: Length of an embedding.
        spread: Standard deviation of the numbers of a new embedding.
        seed: Seed of the generator that all randomness of the model comes from.
    """

    def __init__(self, dimensions: int, *, spread: float, seed: int) -> None:
        super().__init__()
        self._spread = spread
        self._generator = torch.Generator().manual_seed(seed)
        self._users = Vocabulary()
        self._user = torch.empty(0, dimensions)
        self._item = torch.empty(0, dimensions)

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
