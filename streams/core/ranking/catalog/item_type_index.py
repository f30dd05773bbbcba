"""Index of item types: a catalog has far fewer pairs of category and topics than items."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.vocabulary import MISSING

Values = NDArray[np.float64]


class ItemTypeIndex:
    """Item types: items with the same category and topics share one. Type 0 has neither."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, ...], int] = {}
        self._categories: list[int] = []
        self._pairs: list[tuple[int, int]] = []
        """All pairs of a type and one of its topics."""
        self._columns: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
        self.add(MISSING, ())

    def add(self, category: int, topics: Sequence[int]) -> int:
        """Return the number of a type; a new type gets the next one.

        Args:
            category: The index of the category, or `MISSING`.
            topics: The indices of the topics.
        """
        number = self._numbers.setdefault((category, *topics), len(self._categories))
        if number == len(self._categories):
            self._categories.append(category)
            self._pairs += [(number, topic) for topic in topics]
            self._columns = None
        return number

    def scores(self, categories: Values, topics: Values) -> Values:
        """Return (types,) the mean of a type's category value and the sum of its topic values, clipped to [-1, 1].

        Args:
            categories: (categories + 1,) values by index; the last is that of no category.
            topics: (topics + 1,) the same for topics.
        """
        if self._columns is None:
            pairs = np.array(self._pairs, np.intp).reshape(-1, 2)
            self._columns = np.array(self._categories, np.intp), pairs
        category_of_type, pairs = self._columns
        topic_sums = np.bincount(pairs[:, 0], topics[pairs[:, 1]], minlength=len(category_of_type))
        scores = topic_sums.astype(np.float64, copy=False)  # integers if no type has a topic
        np.clip(scores, -1.0, 1.0, out=scores)
        scores += categories[category_of_type]
        scores *= 0.5
        return scores
