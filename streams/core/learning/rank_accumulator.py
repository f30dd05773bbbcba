"""Rank accumulator: outcomes as a candidate for promotion and the incumbent rank them, test then learn."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from models.blend.fallback import LISTED, gain

MIN_OUTCOMES = 50
"""Outcomes required to judge a candidate."""


class RankAccumulator:
    """Ranks of the clicked items, by a candidate and by the incumbent."""

    def __init__(self) -> None:
        self._ranks: list[tuple[float, float]] = []

    def add(self, rank: float, incumbent: float = math.inf) -> None:
        """Add an outcome.

        Args:
            rank: The rank of the clicked item by the candidate, from 1.
            incumbent: Its rank by the incumbent.
        """
        self._ranks.append((rank, incumbent))

    @property
    def outcomes(self) -> int:
        """Return the number of outcomes."""
        return len(self._ranks)

    def ndcg(self) -> tuple[float, float]:
        """Return NDCG@10 of the candidate and of the incumbent."""
        own, incumbent = self._gains().mean(axis=0)
        return float(own), float(incumbent)

    def hr(self) -> tuple[float, float]:
        """Return HR@10 of the candidate and of the incumbent."""
        own, incumbent = (self._columns() <= LISTED).mean(axis=0)
        return float(own), float(incumbent)

    def ndcg_delta(self) -> tuple[float, float]:
        """Return the paired difference of NDCG@10, candidate minus incumbent, and its standard error."""
        gains = self._gains()
        differences = gains[:, 0] - gains[:, 1]
        return float(differences.mean()), float(differences.std() / math.sqrt(len(differences)))

    def error(self) -> float:
        """Return the standard error of the candidate's NDCG@10."""
        return float(self._gains()[:, 0].std() / math.sqrt(max(self.outcomes, 1)))

    def _gains(self) -> NDArray[np.float64]:
        return gain(self._columns())

    def _columns(self) -> NDArray[np.float64]:
        return np.array(self._ranks or [(math.inf, math.inf)])
