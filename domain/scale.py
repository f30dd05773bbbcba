"""Scaling of scores, so that those of different origin can be blended."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ALL_EQUAL = 0.5
"""The scaled score where all scores are equal."""


def min_max_scaled(scores: ArrayLike, *, over: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return scores scaled so that the lowest is 0 and the highest is 1; all 0.5 where they are equal.

    >>> min_max_scaled([2.0, 3.0, 6.0]).tolist()
    [0.0, 0.25, 1.0]
    >>> min_max_scaled([2.0, 3.0, 6.0, 1.0], over=[2.0, 3.0, 6.0]).tolist()
    [0.0, 0.25, 1.0, -0.25]
    >>> min_max_scaled([3.0, 3.0]).tolist(), min_max_scaled([]).tolist()
    ([0.5, 0.5], [])

    Args:
        scores: (n,) finite scores.
        over: The scores whose lowest and highest determine the scale; `scores` by default.
    """
    values = np.asarray(scores, np.float64)
    scale = values if over is None else np.asarray(over, np.float64)
    low, high = scale.min(initial=np.inf), scale.max(initial=-np.inf)
    return (values - low) / (high - low) if high > low else np.full(len(values), _ALL_EQUAL)


def shares_of_strongest(sums: Mapping[str, float]) -> dict[str, float]:
    """Return sums as shares of the largest in magnitude, each from -1 to 1.

    >>> shares_of_strongest({"jazz": 2.0, "rock": -4.0}), shares_of_strongest({"jazz": 0.0})
    ({'jazz': 0.5, 'rock': -1.0}, {'jazz': 0.0})
    """
    strongest = max(map(abs, sums.values()), default=0.0) or 1.0
    return {name: value / strongest for name, value in sums.items()}
