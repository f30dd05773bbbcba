"""Item-kNN: cosine between the users of two items, shrunk (Bell and Koren, ICDM 2007), refitted while the stream runs.

s_ij = x_i·x_j / (|x_i| |x_j| + shrink), for the k nearest neighbours of each item. A query sums the rows of its items,
discounted with each step back. Without shrinkage and discount it is plain item-item collaborative filtering (Sarwar et
al., WWW 2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.base import Scores
from models.refitting import RefittedModel

_BLOCK = 256
"""Rows of the dense block of similarities computed at a time."""
_COST_PER_EVENT = 10_000
"""Bound on items² per event between refits: 3,000 items are refitted every 1,000 events."""


class ItemKnn(RefittedModel):
    """The nearest neighbours of each item.

    >>> from models.base import ModelEvent, ModelQuery
    >>> model = ItemKnn(neighbors=2)
    >>> model.learn([ModelEvent(f"u{number}", item, number, 1.0) for number in range(40) for item in ("tea", "cup")])
    >>> model.recommend([ModelQuery("new", (("tea", 1.0),), frozenset({"tea"}))], 1)[0].items
    ['cup']
    """

    def __init__(
        self,
        *,
        name: str = "item-knn",
        neighbors: int = 200,
        shrink: float = 3.0,
        refit_every: int = 1_000,
        position_discount: float = 0.8,
        dislike_confidence: float = 0.5,
    ) -> None:
        """Start without neighbours.

        Args:
            name: Name of the model in reports.
            neighbors: Number of neighbours of an item.
            shrink: Number added to the denominator of the cosine: it lowers similarities with little evidence.
            refit_every: Events between refits, at least; the first refits follow each doubling of the events.
            position_discount: Discount per step back in the query's history, on (0, 1].
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
        """
        super().__init__(
            refit_every=refit_every, dislike_confidence=dislike_confidence, position_discount=position_discount
        )
        self.name = name
        self._neighbors, self._shrink = neighbors, shrink
        self._near = np.empty((0, 0), np.int64)
        self._similar = np.empty((0, 0))

    def _pause(self, matrix: sparse.csr_array) -> int:
        return max(self._refit_every, len(self._near) ** 2 // _COST_PER_EVENT)

    def _refit(self, matrix: sparse.csr_array) -> None:
        size = matrix.shape[1]
        neighbor_count = min(self._neighbors, size)
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
        columns = matrix.T.tocsr()
        near, similar = [], []
        for start in range(0, size, _BLOCK):
            rows = slice(start, min(start + _BLOCK, size))
            block = (columns[rows] @ matrix).toarray() / (norms[rows, None] * norms[None, :] + self._shrink)
            block[np.arange(len(block)), np.arange(start, rows.stop)] = 0.0
            best = np.argpartition(block, size - neighbor_count, axis=1)[:, size - neighbor_count :]
            near.append(best)
            similar.append(np.take_along_axis(block, best, axis=1))
        self._near, self._similar = np.concatenate(near), np.concatenate(similar).astype(np.float64)

    def _knows(self, item: int) -> bool:
        return item < len(self._near)

    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        weighted_similarities = self._similar[items] * values[:, None]
        sums = np.bincount(self._near[items].ravel(), weighted_similarities.ravel(), minlength=len(self._near))
        return np.where(sums > 0.0, sums, -np.inf)
