"""Content index: items with similar texts, for a catalog too large to score whole.

An approximate nearest-neighbour index over the items' texts follows the catalog: a new item can be found within
seconds, before its first interaction. Updates are applied in batches, so that ranking never waits long for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from domain.state import Stateful
from models.text.ann_index import AnnIndex, Indices, Vectors
from models.text.signature import DIMENSIONS, signature
from schemas.types import Item

_AT_ONCE = 250
"""Items per batch: some 0.1 s in a catalog of 200,000."""


class ContentIndex(Stateful):
    """Text signatures of all listed items; the index is consulted only after a call of `catch_up`."""

    STATE = ("_index", "_waiting")

    def __init__(self) -> None:
        self._index = AnnIndex(DIMENSIONS)
        self._waiting: dict[int, tuple[str, str, str, Sequence[str]] | None] = {}
        """Pending updates by item index: id, title, category and topics; None for a removed item."""

    @property
    def bytes_used(self) -> int:
        """Return the memory that the index takes, in bytes."""
        return self._index.bytes_used

    def put(self, number: int, item: Item) -> None:
        """Queue a new or changed item.

        Args:
            number: The index of the item.
            item: The item, as the catalog has it.
        """
        self._waiting[number] = item.item_id, item.title, item.category, item.topics

    def remove(self, number: int) -> None:
        """Queue the removal of an item."""
        self._waiting[number] = None

    def catch_up(self) -> bool:
        """Apply a batch of pending updates, oldest first; return whether any are left."""
        batch = [(number, self._waiting.pop(number)) for number in list(islice(self._waiting, _AT_ONCE))]
        numbers = [number for number, document in batch if document is not None]
        vectors = [signature(*document) for _, document in batch if document is not None]
        self._index.remove(np.array([number for number, document in batch if document is None], np.int32))
        if vectors:
            self._index.put(np.array(numbers, np.int32), np.stack(vectors))
        return bool(self._waiting)

    def nearest(self, numbers: Indices, weights: Vectors, limit: int) -> Indices:
        """Return the items most similar to a weighted set of items, best first.

        Args:
            numbers: (n,) indices of the items.
            weights: (n,) weights of the items.
            limit: The maximum number of results.
        """
        query_vector = weights @ self._index.vectors(numbers)
        return self._index.nearest(query_vector, limit) if query_vector.any() else np.empty(0, np.int32)
