"""Text mapping: embeddings of items without events, by ridge regression from the vectors of their texts.

Attribute-to-feature mapping (Gantner et al., ICDM 2010): what texts tell about the embeddings of learned items, they
tell about those of new items. Each learned item is predicted by the fit without it, which has a closed form (Allen,
Technometrics 1974). These predictions choose the penalty, and say how far a mapped embedding can be trusted: where
texts tell nothing, it is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]

MIN_ITEMS = 50
"""Items that a fit needs."""
_PENALTIES = (1.0, 4.0, 16.0, 64.0, 256.0)
"""Penalties of the regression, of which the one with the least error is chosen."""
_ERRORS = 2.0
"""Standard errors that are subtracted from the slope of embeddings over predictions."""
_TINY = 1e-12


class TextMapping:
    """A linear map from vectors of texts to embeddings and biases."""

    def __init__(self) -> None:
        self._mean: Vectors = np.zeros(0, np.float32)
        self._matrix: Vectors = np.zeros((0, 0), np.float32)
        """(p,) the mean text, and (p, d + 1) what a difference from it predicts, damped."""
        self.trust = (0.0, 0.0)
        """Damping factors of embeddings and of biases, from 0 to 1."""

    @property
    def is_useful(self) -> bool:
        """Return whether texts tell anything."""
        return max(self.trust) > 0.0

    def fit(self, texts: Vectors, embeddings: Vectors) -> None:
        """Fit the map to items with embeddings; it takes 20 ms for 1,000 items, and grows linearly.

        Args:
            texts: (n, p) vectors of their texts, of unit length.
            embeddings: (n, d + 1) their embeddings, each followed by its bias.
        """
        self.trust = (0.0, 0.0)
        count = len(texts)
        if count < MIN_ITEMS:
            return
        self._mean = texts.mean(axis=0)
        centred_texts, differences = texts - self._mean, embeddings - embeddings.mean(axis=0)
        eigenvalues, directions = np.linalg.eigh(centred_texts.T @ centred_texts)
        rotated_texts = centred_texts @ directions
        products = rotated_texts.T @ differences
        least_error, best_weights, best_residuals = np.inf, products, differences
        for penalty in _PENALTIES:
            shrinkage = 1.0 / (eigenvalues.clip(0.0) + np.float32(penalty))
            leverages = rotated_texts**2 @ shrinkage + np.float32(1.0 / count)
            weights = products * shrinkage[:, None]
            residuals = (differences - rotated_texts @ weights) / (1.0 - leverages)[:, None]
            error = float(np.square(residuals).sum())
            if error < least_error:
                least_error, best_weights, best_residuals = error, weights, residuals
        predictions = differences - best_residuals
        self.trust = (
            _slope(predictions[:, :-1], differences[:, :-1]),
            _slope(predictions[:, -1:], differences[:, -1:]),
        )
        damping = np.append(np.full(embeddings.shape[1] - 1, self.trust[0], np.float32), np.float32(self.trust[1]))
        self._matrix = directions @ best_weights * damping

    def embeddings(self, texts: Vectors) -> Vectors:
        """Return (n, d + 1) mapped embeddings, each followed by its bias, relative to the mean of learned items.

        Args:
            texts: (n, p) vectors of texts, of unit length.
        """
        return np.asarray((texts - self._mean) @ self._matrix, np.float32)


def _slope(predictions: Vectors, differences: Vectors) -> float:
    """Return the slope of the truth over predictions, less some standard errors, from 0 to 1."""
    agreements = (predictions * differences).sum(axis=1, dtype=np.float64)
    error = np.sqrt(len(agreements)) * agreements.std()
    slope = (agreements.sum() - _ERRORS * error) / max(float(np.square(predictions).sum(dtype=np.float64)), _TINY)
    return float(np.clip(slope, 0.0, 1.0))
