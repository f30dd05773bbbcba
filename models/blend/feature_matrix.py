"""Features of many candidates as a sum of blocks: copying blocks together would cost as much as weighting them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float32]
Block = tuple[Column, Column]
"""(rows, features) with a 1 where a row holds a feature, and (rows, items) values."""


def rows_of(names: Sequence[str], features: Iterable[str]) -> Column:
    """Return the (rows, features) assignment of a block's rows to features.

    Args:
        names: Feature name of each row; a row with an unknown name belongs to none.
        features: All feature names.

    >>> rows_of(["far", "unknown"], ["near", "far"]).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    return np.array([[float(name == feature) for feature in features] for name in names], np.float32)


class FeatureMatrix:
    """A (features, items) matrix, stored in blocks.

    >>> names, values = ["near", "far"], np.array([[1.0, 2.0, 3.0]], np.float32)
    >>> matrix = FeatureMatrix([(rows_of(["near"], names), values), (rows_of(["far"], names), 10 * values)])
    >>> matrix.weighted_sum(np.array([1.0, 0.5], np.float32)).tolist()
    [6.0, 12.0, 18.0]
    >>> matrix.column(slice(0, 1)).tolist()
    [[1.0], [10.0]]
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        """Take blocks as they are, without a copy.

        Args:
            blocks: Blocks of rows over the same items.
        """
        self.blocks = blocks

    def weighted_sum(self, weights: Column) -> Column:
        """Return (items,) scores for (features,) weights."""
        return _sum(np.matmul(rows @ weights, block) for rows, block in self.blocks)

    def expectation(self, shares: Column) -> Column:
        """Return (features,) means over items, weighted with (items,) probabilities."""
        return _sum(np.matmul(block @ shares, rows) for rows, block in self.blocks)

    def column(self, indices: NDArray[np.intp] | slice) -> Column:
        """Return the (features, indices) columns of some items."""
        return _sum(np.matmul(rows.T, block[:, indices]) for rows, block in self.blocks)

    def subset(self, indices: NDArray[np.intp]) -> FeatureMatrix:
        """Return the matrix of some items, as a copy."""
        return FeatureMatrix([(rows, block[:, indices]) for rows, block in self.blocks])

    def ranks(self, chosen_index: int, *, list_length: int) -> NDArray[np.float64]:
        """Return (features,) ranks of an item by each feature alone, from 1; tied items share their mean rank.

        The rank is infinite where the item is not listed, and where a feature has nothing to say for it, that is where
        its value is not positive.

        Args:
            chosen_index: Index of the item.
            list_length: Number of items in a list.
        """
        ranks = np.full(self.blocks[0][0].shape[1], np.inf)
        for rows, block in self.blocks:
            above = block > block[:, chosen_index, None]
            for row, feature in np.argwhere(rows).tolist():
                if block[row, chosen_index] > 0 and np.count_nonzero(above[row]) < list_length:
                    ranks[feature] = rank_of(block[row], chosen_index)
        return ranks


def rank_of(scores: Column, chosen_index: int) -> float:
    """Return the rank of an item by (items,) scores, from 1; tied items share their mean rank.

    Args:
        scores: Score of each item.
        chosen_index: Index of the item.
    """
    above, level = scores > scores[chosen_index], scores == scores[chosen_index]
    return float(np.count_nonzero(above) + (np.count_nonzero(level) + 1) / 2)


def _sum(arrays: Iterable[Column]) -> Column:
    """Return the sum of arrays; the first is overwritten."""
    each = iter(arrays)
    total = next(each)
    for array in each:
        total += array
    return total
