"""Items that are said to be like others, for a catalogue too large to be scored whole.

An index over what items say of themselves follows the catalogue: a new item can be found by it within seconds, before
anyone has acted on it. Items are taken in some at a time, so that ranking never waits long for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from models.text.ann_index import AnnIndex, Indices, Vectors
from models.text.signature import DIMENSIONS, signature
from schemas.types import Item

_AT_ONCE = 250
"""Items taken in at a time: some 0.1 s in a catalogue of 200,000."""


class ContentIndex:
    """What all listed items say of themselves; it is only looked into once `catch_up` was called."""

    def __init__(self) -> None:
        self._index = AnnIndex(DIMENSIONS)
        self._waiting: dict[int, tuple[str, str, str, Sequence[str]] | None] = {}
        """By number: an item's id, title, category and topics; None for one that is gone."""

    @property
    def bytes_used(self) -> int:
        """Return how much memory the index takes."""
        return self._index.bytes_used

    def put(self, number: int, item: Item) -> None:
        """Note what a new or changed item says."""
        self._waiting[number] = item.item_id, item.title, item.category, item.topics

    def remove(self, number: int) -> None:
        """Note that an item is gone."""
        self._waiting[number] = None

    def catch_up(self) -> bool:
        """Take in some of what was noted, longest waiting first; return whether any is left."""
        batch = [(number, self._waiting.pop(number)) for number in list(islice(self._waiting, _AT_ONCE))]
        numbers = [number for number, document in batch if document is not None]
        vectors = [signature(*document) for _, document in batch if document is not None]
        self._index.remove(np.array([number for number, document in batch if document is None], np.int32))
        if vectors:
            self._index.put(np.array(numbers, np.int32), np.stack(vectors))
        return bool(self._waiting)

    def nearest(self, numbers: Indices, weights: Vectors, most: int) -> Indices:
        """Return at most so many items that are like (n,) others, weighed by (n,), the most alike first."""
        query_vector = weights @ self._index.vectors(numbers)
        return self._index.nearest(query_vector, most) if query_vector.any() else np.empty(0, np.int32)
