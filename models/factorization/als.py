"""Implicit matrix factorization by alternating least squares (Hu, Koren and Volinsky, ICDM 2008).

The loss, its weight of unobserved pairs and the frequency-scaled regularization are those of Rendle et al. (RecSys
2022): Σ_seen c·(1 - x·y)² + unseen·Σ_all (x·y)² + Σ_rows reg·(n_row + unseen·n_others)·|row|². A refit starts from the
previous factors. Users are folded in from the item factors at query time, so that every click and every new user
counts at once; user factors exist only within a fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from models.base import Scores
from models.refitting import RefittedModel

Factors = NDArray[np.float32]
_SPREAD = 0.1
"""Expected norm of the initial factors of a new item."""


class Als(RefittedModel):
    """Item factors; users are folded in from them at query time."""

    name = "als"

    def __init__(
        self,
        *,
        factors: int = 100,
        regularization: float = 0.01,
        unobserved_weight: float = 0.5,
        sweeps: int = 1,
        refit_every: int = 1_000,
        position_discount: float = 0.9,
        dislike_confidence: float = 0.5,
        seed: int = 0,
    ) -> None:
        """Start without factors.

        Args:
            factors: Length of a factor vector.
            regularization: Weight of the L2 penalty, scaled with the events of a row.
            unobserved_weight: Weight of the pairs without an event, where one with an event has its confidence.
            sweeps: Alternations between users and items per refit.
            refit_every: Events between refits, at least; the first refits follow each doubling of the events.
            position_discount: Discount per step back in the query's history, on (0, 1].
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
            seed: Seed of the factors of new items.
        """
        super().__init__(
            refit_every=refit_every, dislike_confidence=dislike_confidence, position_discount=position_discount
        )
        self._regularization, self._unobserved_weight, self._sweeps = regularization, unobserved_weight, sweeps
        self._draw = np.random.default_rng(seed)
        self._factors = np.empty((0, factors), np.float32)
        self._gram = np.zeros((factors, factors), np.float32)

    def _refit(self, matrix: sparse.csr_array) -> None:
        new, size = matrix.shape[1] - len(self._factors), self._factors.shape[1]
        new_factors = self._draw.normal(0.0, _SPREAD / np.sqrt(size), (new, size)).astype(np.float32)
        items, columns = np.concatenate([self._factors, new_factors]), matrix.T.tocsr()
        for _ in range(self._sweeps):
            users = self._solve(matrix, items)
            items = self._solve(columns, users)
        self._factors, self._gram = items, self._unobserved_weight * items.T @ items

    def _solve(self, matrix: sparse.csr_array, others: Factors) -> Factors:
        gram = (self._unobserved_weight * others.T @ others).astype(np.float32)
        factors = np.zeros((matrix.shape[0], others.shape[1]), np.float32)
        for row in np.flatnonzero(np.diff(matrix.indptr)):
            span = slice(matrix.indptr[row], matrix.indptr[row + 1])
            values: NDArray[np.float32] = matrix.data[span]
            factors[row] = self._fold(others[matrix.indices[span]], values, gram, len(others))
        return factors

    def _fold(self, rows: Factors, values: NDArray[np.float32], gram: Factors, others: int) -> Factors:
        normal = gram + (rows * values[:, None]).T @ rows
        strength = self._regularization * (float(values.sum()) + self._unobserved_weight * others)
        normal[np.diag_indices_from(normal)] += strength
        factors: Factors
        _, factors, info = lapack.sposv(normal.T, values @ rows, lower=1, overwrite_a=1)
        assert not info, "a positive diagonal was added"
        return factors

    def _knows(self, item: int) -> bool:
        return item < len(self._factors)

    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        user = self._fold(self._factors[items], values.astype(np.float32), self._gram, len(self._factors))
        return (self._factors @ user).astype(np.float64)
