"""Exact nearest neighbours among many vectors, by blocked matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.text.tfidf import Vectors

_ROWS = 512


def nearest(vectors: Vectors, limit: int) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
    """Yield the row numbers and cosines of the nearest other vectors of each vector, nearest first.

    Vectors with a cosine of 0 or less are left out.

    Args:
        vectors: (n, d) unit vectors.
        limit: Number of neighbours per vector, at most.

    >>> vectors = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]], np.float32)
    >>> [(rows.tolist(), cosines.round(1).tolist()) for rows, cosines in nearest(vectors, 1)]
    [([1], [0.6...]), ([2], [0.8...]), ([1], [0.8...])]
    """
    limit = min(limit, len(vectors) - 1)
    for start in range(0, len(vectors), _ROWS):
        products = vectors[start : start + _ROWS] @ vectors.T
        own = np.arange(len(products))
        products[own, start + own] = -np.inf
        best = np.argpartition(-products, max(limit - 1, 0), axis=1)[:, :limit]
        for row, candidates in zip(products, best, strict=True):
            order = candidates[np.lexsort((candidates, -row[candidates]))]
            yield (nearest_rows := order[row[order] > 0]), row[nearest_rows]
