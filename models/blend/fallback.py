"""The fallback of the blend: the single features that rank the choices best, where the learned weights do not.

The learned blend and each feature alone are experts, judged on every outcome before it is learned, by NDCG@10. A
feature's lead is the decayed sum of its gains less those of the blend, and the evidence for the feature is its lead in
standard errors. The leading features' share of the score grows with the strongest evidence, from nothing to all of it,
and is divided among them exponentially in the evidence for each, as by Hedge (Freund and Schapire 1997).

The logit alone cannot promise that: on a sparse stream most of its probability lies on the long tail of items, so that
its gradient hardly depends on the ten items that are shown.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Leads = NDArray[np.float64]

LISTED = 10
"""Length of the lists that gains are of."""
_REMEMBERED = 10_000.0
"""Outcomes in the decayed sums."""
_RAMP = 1_000.0
"""Outcomes over which the shares grow to their full size, so that the first users of a service do not rank for all."""
_PRIOR_SQUARES = 25.0
"""Prior sum of squared leads, so that an early hit is no evidence."""
_LEAST_EVIDENCE, _FULL_EVIDENCE = 0.2, 0.7
"""Standard errors of the strongest lead up to which the leading features have no share of the score, and from which on
they have all of it."""
_MAX_EVIDENCE = 100.0
"""Bound that keeps exponentials finite."""


class Fallback:
    """Leads of the features over the learned blend, and their shares of the score."""

    def __init__(self, features: int) -> None:
        """Start without outcomes.

        Args:
            features: Number of features.
        """
        self._leads: Leads = np.zeros(features)
        self._squares: Leads = np.zeros(features)
        self._outcomes = 0.0
        """Decayed number of outcomes."""
        self.shares: Leads = np.zeros(features)
        """(features,) shares of the score; their sum is 0 without a lead, and 1 with full evidence of many outcomes."""

    def judge(self, feature_ranks: Leads, blend_rank: float, *, outcome_weight: float) -> None:
        """Add an outcome.

        Args:
            feature_ranks: (features,) ranks of the chosen item by each feature alone, from 1.
            blend_rank: Its rank by the learned blend.
            outcome_weight: Weight of the outcome, from 0 to 1.
        """
        decay = 1.0 - outcome_weight / _REMEMBERED
        lead = gain(feature_ranks) - gain(np.array(blend_rank))
        self._leads = decay * self._leads + outcome_weight * lead
        self._squares = decay * self._squares + outcome_weight * lead**2
        self._outcomes = decay * self._outcomes + outcome_weight
        self._share()

    def state(self) -> dict[str, Leads]:
        """Return the sums as arrays."""
        return {"leads": self._leads, "lead_squares": self._squares, "judged": np.array([self._outcomes])}

    def restore(self, state: Mapping[str, Leads]) -> None:
        """Load the sums of a fallback over the same features."""
        self._leads, self._squares = state["leads"].copy(), state["lead_squares"].copy()
        self._outcomes = float(state["judged"][0])
        self._share()

    def _share(self) -> None:
        evidence = np.clip(self._leads / np.sqrt(self._squares + _PRIOR_SQUARES), 0.0, _MAX_EVIDENCE)
        reach = (float(evidence.max(initial=0.0)) - _LEAST_EVIDENCE) / (_FULL_EVIDENCE - _LEAST_EVIDENCE)
        if reach <= 0.0:
            self.shares = np.zeros_like(evidence)
            return
        exponentials = np.expm1(evidence)
        self.shares = exponentials * (min(reach, 1.0) * min(self._outcomes / _RAMP, 1.0) / exponentials.sum())


def gain(ranks: Leads) -> Leads:
    """Return the NDCG@10 of lists in which the one relevant item has these ranks, from 1.

    Args:
        ranks: The ranks, of any shape.

    >>> gain(np.array([1.0, 3.0, 11.0])).tolist()
    [1.0, 0.5, 0.0]
    """
    return np.where(ranks <= LISTED, 1.0 / np.log2(1.0 + ranks), 0.0)
