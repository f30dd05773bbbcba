"""Content index: items with similar texts, for a catalog too large to score whole.

An approximate nearest-neighbour index over the items' texts follows the catalog: a new item can be found within
seconds, before its first interaction. Updates are applied in batches, so that ranking never waits long for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from models.text.ann_index import AnnIndex, Indices, Vectors
from models.text.signature import DIMENSIONS, signature
from schemas.types import Item

_AT_ONCE = 250
"""Items per batch: some 0.1 s in a catalog of 200,000."""
_NEAREST, _KEPT_LISTS = 16, 50_000
"""Length of the list of an item, and number of items with a list: those that users act on."""


class ContentIndex:
    """Text signatures of all listed items; the index is consulted only after a call of `catch_up`."""

    def __init__(self) -> None:
        self._index = AnnIndex(DIMENSIONS)
        self._waiting: dict[int, tuple[str, str, str, Sequence[str]] | None] = {}
        """Pending updates by item index: id, title, category and topics; None for a removed item."""
        self._nearest: dict[int, Indices] = {}
        """The nearest items of an item, by its index."""

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
        numbers = np.array([number for number, document in batch if document is not None], np.int32)
        vectors = [signature(*document) for _, document in batch if document is not None]
        self._forget(np.array([number for number, _ in batch], np.int32))
        self._index.remove(np.array([number for number, document in batch if document is None], np.int32))
        if vectors:
            self._index.put(numbers, np.stack(vectors))
            self._forget(numbers)
        return bool(self._waiting)

    def vectors(self, numbers: Indices) -> Vectors:
        """Return (n, DIMENSIONS) text signatures of items, of unit length; zeros for items without a text.

        Args:
            numbers: (n,) indices of the items.
        """
        vectors = self._index.vectors(numbers)
        for row, number in zip(vectors, numbers.tolist(), strict=True):
            if number in self._waiting:
                document = self._waiting[number]
                row[:] = 0.0 if document is None else signature(*document)
        return vectors

    def nearest(self, numbers: Indices, limit: int) -> Indices:
        """Return the items most similar to each of some items, which share the results evenly.

        The lists of items are kept, and made again when an item near them comes, changes or goes. So a search in the
        graph is rare, and most users cost the same in a catalog of any size.

        Args:
            numbers: (n,) indices of the items.
            limit: The maximum number of results.
        """
        missing = [number for number in dict.fromkeys(numbers.tolist()) if number not in self._nearest]
        if missing:
            rows = self._index.neighbors(self._index.vectors(np.array(missing, np.int32)), _NEAREST + 1)
            for number, row in zip(missing, rows, strict=True):
                is_known = number in row  # an item without a text has no neighbours
                self._nearest[number] = row[row != number] if is_known else row[:0]
        each = limit // max(len(numbers), 1)
        lists = [self._nearest[number][:each] for number in numbers.tolist()]
        while len(self._nearest) > _KEPT_LISTS:
            del self._nearest[next(iter(self._nearest))]
        return np.concatenate([np.empty(0, np.int32), *lists])

    def _forget(self, numbers: Indices) -> None:
        """Drop the lists of items and of those near them."""
        if not self._nearest:
            return
        for number in numbers.tolist():
            self._nearest.pop(number, None)
        vectors = self._index.vectors(numbers)
        for row in self._index.neighbors(vectors[vectors.any(axis=1)], 2 * _NEAREST):
            for number in row.tolist():
                self._nearest.pop(number, None)
