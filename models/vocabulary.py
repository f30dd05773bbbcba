"""Vocabulary: consecutive numbers for names, so that their attributes can be columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

MISSING = -1
"""The number of an unknown name."""


class Vocabulary:
    """Numbers of names, in the order of first use.

    >>> vocabulary = Vocabulary()
    >>> [vocabulary.add(name) for name in ("jazz", "folk", "jazz")]
    [0, 1, 0]
    >>> vocabulary.add_all(["folk", "blues", "blues"]).tolist()
    [1, 2, 2]
    >>> vocabulary.encode(["folk", "rock"]).tolist()
    [1, -1]
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def get(self, name: str) -> int:
        """Return the number of a name, or -1."""
        return self._index.get(name, MISSING)

    def add(self, name: str) -> int:
        """Return the number of a name, assigning the next one to a new name."""
        index = self._index.setdefault(name, len(self.names))
        if index == len(self.names):
            self.names.append(name)
        return index

    def add_all(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Return the number of each name, assigning the next ones to new names."""
        numbers = self.encode(names)
        for index in np.flatnonzero(numbers == MISSING).tolist():
            numbers[index] = self.add(names[index])
        return numbers

    def encode(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Return the number of each name, -1 for unknown ones."""
        return np.fromiter(map(self._index.get, names, repeat(MISSING)), np.int32, len(names))

    def encode_known(self, names: Iterable[str]) -> NDArray[np.int32]:
        """Return the numbers of the known names."""
        get = self._index.get
        return np.array([index for name in names if (index := get(name)) is not None], np.int32)
