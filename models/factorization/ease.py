"""EASE: the linear item-item model in closed form (Steck, WWW 2019), refitted while the stream runs.

With G = XᵀX and P = (G + λI)⁻¹, scores are the history times B, with B_ij = -P_ij / P_jj and B_jj = 0. The history is
the query's, discounted with each step back, so that a click counts before the next fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from models.base import Scores
from models.refitting import RefittedModel

MAX_ITEMS = 5_000
"""Number of most popular items in a fit: time is cubic, memory quadratic in it."""
_COST_PER_EVENT = 5_000_000
"""Bound on items³ per event between refits: 1,700 items are refitted every 1,000 events."""


class Ease(RefittedModel):
    """Regression weights between the most popular items."""

    name = "ease"

    def __init__(
        self,
        *,
        regularization: float = 1_000.0,
        refit_every: int = 1_000,
        max_items: int = MAX_ITEMS,
        position_discount: float = 0.9,
        dislike_confidence: float = 0.5,
    ) -> None:
        """Start without weights.

        Args:
            regularization: The λ of the ridge regression.
            refit_every: Events between refits, at least; the first refits follow each doubling of the events.
            max_items: Number of most popular items in a fit.
            position_discount: Discount per step back in the query's history, on (0, 1].
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
        """
        super().__init__(
            refit_every=refit_every, dislike_confidence=dislike_confidence, position_discount=position_discount
        )
        self._regularization, self._catalogue = regularization, max_items
        self._fitted_items = np.empty(0, np.int64)
        self._column_of = np.empty(0, np.int64)
        self._weights = np.empty((0, 0), np.float32)

    def _pause(self, matrix: sparse.csr_array) -> int:
        return max(self._refit_every, len(self._fitted_items) ** 3 // _COST_PER_EVENT)

    def _refit(self, matrix: sparse.csr_array) -> None:
        size = matrix.shape[1]
        strengths = np.asarray(matrix.sum(axis=0)).ravel()
        self._fitted_items = np.sort(np.argsort(-strengths, kind="stable")[: self._catalogue])
        self._column_of = np.full(size, -1, np.int64)
        self._column_of[self._fitted_items] = np.arange(len(self._fitted_items))
        self._weights = self._fit(matrix[:, self._fitted_items])

    def _fit(self, columns: sparse.csr_array) -> NDArray[np.float32]:
        """Return (items, items) weights for (users, items) values of the fitted items."""
        return weights(columns, self._regularization)

    def _knows(self, item: int) -> bool:
        return item < len(self._column_of) and self._column_of[item] >= 0

    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        scores = np.full(len(self._column_of), -np.inf)
        scores[self._fitted_items] = values.astype(np.float32) @ self._weights[self._column_of[items]]
        return scores


def weights(matrix: sparse.csr_array, regularization: float) -> NDArray[np.float32]:
    """Return (items, items) regression weights, from a history's items to the others.

    Args:
        matrix: (users, items) values.
        regularization: The λ of the ridge regression.

    >>> together = sparse.csr_array(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32))
    >>> print(abs(weights(together, 1.0)).round(2))
    [[0.   0.67 0.  ]
     [0.67 0.   0.  ]
     [0.   0.   0.  ]]
    """
    gram = np.asfortranarray((matrix.T @ matrix).toarray(), np.float32)
    np.fill_diagonal(gram, gram.diagonal() + regularization)
    factor, info = lapack.spotrf(gram, lower=1, overwrite_a=1)
    inverse, singular = lapack.spotri(factor, lower=1, overwrite_c=1)
    assert not info
    assert not singular, "a positive diagonal was added"
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    item_weights = np.ascontiguousarray(inverse / -inverse.diagonal())
    np.fill_diagonal(item_weights, 0.0)
    return item_weights
