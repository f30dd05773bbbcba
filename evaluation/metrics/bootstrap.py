"""Confidence intervals by the bootstrap over users (Efron, 1979; Sakai, SIGIR 2006).

Users are drawn with replacement, with all their cases. All models of a table share the draws, so that two models are
compared draw by draw, without the variance that both share through the same users.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000
_AT_ONCE = 50
_OWN = 1
"""Stream of random numbers of these draws, distinct from those of models and ties with the same seed."""
_BOUNDS = (2.5, 97.5)

Means = NDArray[np.float64]
"""(DRAWS,), one mean per draw."""


class Interval(NamedTuple):
    """A 95 % confidence interval, and the standard error."""

    low: float
    high: float
    se: float


class Difference(NamedTuple):
    """The difference of two means, with its 95 % confidence interval."""

    mean: float
    low: float
    high: float
    p: float
    """Two-sided p-value: twice the share of draws with the opposite sign."""


class Bootstrap:
    """Bootstrap draws of users, the same for all columns."""

    def __init__(self, users: NDArray[np.int32], *, seed: int = 0, draws: int = DRAWS) -> None:
        self._index = np.unique(users, return_inverse=True)[1]
        self._counts = np.bincount(self._index)
        self._seed, self._draws = seed, draws

    def means(self, column: NDArray[np.float64]) -> Means:
        """Return the mean of a column (an entry per case) in each draw."""
        if not len(column):
            return np.full(self._draws, np.nan)
        sums = np.bincount(self._index, column)
        per_user = np.stack((sums, self._counts.astype(np.float64)), axis=1)
        draw = np.random.default_rng((_OWN, self._seed))
        size = len(sums)
        chunks = [
            draw.multinomial(size, np.full(size, 1.0 / size), size=min(_AT_ONCE, self._draws - start)) @ per_user
            for start in range(0, self._draws, _AT_ONCE)
        ]
        totals = np.concatenate(chunks)
        return np.asarray(totals[:, 0] / totals[:, 1], np.float64)


def interval(means: Means) -> Interval:
    """Return the interval of a mean."""
    low, high = np.percentile(means, _BOUNDS)
    return Interval(float(low), float(high), float(means.std()))


def difference(one: Means, other: Means) -> Difference:
    """Return the difference of one minus the other, from means of the same draws."""
    gap = one - other
    low, high = np.percentile(gap, _BOUNDS)
    wrong = min(float(np.mean(gap <= 0)), float(np.mean(gap >= 0)))
    return Difference(float(gap.mean()), float(low), float(high), min(1.0, 2.0 * wrong))
