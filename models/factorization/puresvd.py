"""Matrix factorization by truncated singular value decomposition: PureSVD (Cremonesi, Koren and Turrin, RecSys 2010).

The matrix of users and items, with 0 for pairs without an event, is approximated by its largest singular values. With
the right singular vectors Q as factors of the items, a history x has the scores x·Q·Qᵀ: a user needs no factors, so
every click and every new user counts at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from models.base import Scores
from models.refitting import RefittedModel

_NEGLIGIBLE = 1e-4
"""Share of the largest singular value up to which another one is 0, and its vector arbitrary."""


class PureSvd(RefittedModel):
    """Item factors from the singular value decomposition of the last events."""

    name = "pure-svd"

    def __init__(
        self,
        *,
        factors: int = 100,
        refit_every: int = 1_000,
        position_discount: float = 0.9,
        dislike_confidence: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Start without factors.

        Args:
            factors: Length of a factor vector, at most: a matrix of a lower rank has fewer.
            refit_every: Events between refits, at least; the first refits follow each doubling of the events.
            position_discount: Discount per step back in the query's history, on (0, 1].
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
            seed: Seed of the first vector of the iteration.
        """
        super().__init__(
            refit_every=refit_every, dislike_confidence=dislike_confidence, position_discount=position_discount
        )
        self._size, self._seed = factors, seed
        self._factors = np.empty((0, 0), np.float32)

    def _refit(self, matrix: sparse.csr_array) -> None:
        most = min(matrix.shape)
        if most > 1:
            first = np.random.default_rng(self._seed).normal(size=most).astype(np.float32)
            count = min(self._size, most - 1)
            _, values, vectors = svds(matrix, k=count, v0=first, return_singular_vectors="vh")
        else:
            _, values, vectors = np.linalg.svd(matrix.toarray(), full_matrices=False)
        self._factors = np.ascontiguousarray(vectors[values > _NEGLIGIBLE * values.max()].T, np.float32)

    def _knows(self, item: int) -> bool:
        return item < len(self._factors)

    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        profile = values.astype(np.float32) @ self._factors[items]
        return (self._factors @ profile).astype(np.float64)
