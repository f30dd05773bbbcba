"""The parts of many candidates' scores, in blocks as they were made: to copy them costs as much as to weigh them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]
Block = tuple[Column, Column]
"""(rows, parts) with a 1 where a row is a part, and (rows, items) what the rows hold."""


def rows_of(names: Sequence[str], features: Iterable[str]) -> Column:
    """Return which of the parts each row of a block is; a row with another name is none of them."""
    return np.array([[float(name == feature) for feature in features] for name in names], np.float32)


class FeatureMatrix:
    """(parts, items)."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks

    def weighted_sum(self, weights: Column) -> Column:
        """Return (items,) scores by (parts,) weights."""
        return _sum(np.matmul(rows @ weights, block) for rows, block in self.blocks)

    def expectation(self, shares: Column) -> Column:
        """Return (parts,) means over items that have (items,) shares."""
        return _sum(np.matmul(block @ shares, rows) for rows, block in self.blocks)

    def column(self, indices: NDArray[np.intp] | slice) -> Column:
        """Return (parts, places)."""
        return _sum(np.matmul(rows.T, block[:, indices]) for rows, block in self.blocks)


def _sum(arrays: Iterable[Column]) -> Column:
    """Return the sum of some arrays, of which the first is overwritten."""
    each = iter(arrays)
    total = next(each)
    for array in each:
        total += array
    return total
