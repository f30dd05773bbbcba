"""Embedding index: the items with the highest scores by embeddings, for a catalog too large to score whole.

An approximate nearest-neighbour index follows the embeddings. They change with every event, so an item is indexed again
only when its embedding has moved a part of its length: candidates are scored by the newest embeddings anyway. Items
without events are found by their mapped embeddings.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from models.factorization.item_embeddings import Indices, ItemEmbeddings, Vector, has_moved
from models.growth import padded
from models.text.ann_index import AnnIndex

_AT_ONCE = 250
"""Items per batch: some 0.1 s in a catalog of 200,000."""


class EmbeddingIndex:
    """The embeddings of all items, each with its bias as one more number; consulted only after a call of `catch_up`."""

    def __init__(self, embeddings: ItemEmbeddings) -> None:
        """Start empty.

        Args:
            embeddings: The embeddings to follow.
        """
        self._embeddings = embeddings
        size = embeddings.config.dimensions + 1
        self._index = AnnIndex(size, by_inner_product=True)
        self._waiting: dict[int, None] = {}
        """Items with changed embeddings, oldest change first."""
        self._vectors, self._is_indexed = np.zeros((0, size), np.float16), np.zeros(0, bool)
        """The vector of each item as the index has it, and whether there is one."""

    def note(self, item: int) -> None:
        """Note that the embedding of an item has changed, or is gone."""
        self._waiting[item] = None

    def catch_up(self) -> bool:
        """Apply a batch of changes, oldest first; return whether any are left."""
        items = np.array(list(islice(self._waiting, _AT_ONCE)), np.int32)
        for item in items.tolist():
            del self._waiting[item]
        self._reach(int(items.max(initial=-1)) + 1)
        has_vector = self._embeddings.is_scored(items)
        without_vector = items[~has_vector & self._is_indexed[items]]
        self._index.remove(without_vector)
        self._is_indexed[without_vector] = False
        items = items[has_vector]
        vectors = self._embeddings.with_biases(items)
        is_stale = ~self._is_indexed[items] | has_moved(vectors, self._vectors[items])
        items, vectors = items[is_stale], vectors[is_stale]
        if len(items):
            self._vectors[items], self._is_indexed[items] = vectors, True
            self._index.put(items, vectors)
        return bool(self._waiting)

    def nearest(self, user: Vector, limit: int) -> Indices:
        """Return the items with the highest scores for a user, best first.

        Args:
            user: (dimensions,) embedding of the user.
            limit: The maximum number of results.
        """
        return self._index.nearest(np.append(user, np.float32(1.0)), limit)

    def _reach(self, count: int) -> None:
        """Make room for as many items."""
        if count > len(self._is_indexed):
            room = count * 3 // 2 + 64
            self._vectors, self._is_indexed = padded(self._vectors, room), padded(self._is_indexed, room)
