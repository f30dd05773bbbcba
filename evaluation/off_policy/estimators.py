"""Estimators of the value of a policy, by the feedback on what another one has shown.

Each round is an item that was shown, with its reward, the probability of showing it under the policy that did (the
propensity), and that under the policy in question (the target). Its importance weight w is target by propensity.

    ips     mean of w r (Horvitz and Thompson 1952)
    snips   sum of w r by sum of w (Swaminathan and Joachims, NIPS 2015)
    dr      mean of v + w (r - q) (Dudik, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011)

q is the reward that a model expects of the item shown, and v that of the policy in question. `dr` has no bias if either
the propensities or the model are right. Weights are clipped, which bounds the variance and biases the estimates towards
0; how many were clipped is part of the report.

The users are the unit: the rounds of one user depend on each other. Intervals are those of a ratio metric of users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.core.experiment_results.user_moments import UserMoments, ratio

Rounds = NDArray[np.float64]
MAX_WEIGHT = 20.0
"""Importance weight at which weights are clipped."""
_Z = 1.959963984540054
"""Quantile of the normal distribution at 97.5 %."""


class FeedbackError(ValueError):
    """Feedback from which nothing can be estimated."""


def check_finite(name: str, column: Rounds) -> None:
    """Raise `FeedbackError` if a column has values that are not finite."""
    if not np.isfinite(column).all():
        raise FeedbackError(f"{name}: must be finite")


def check_probabilities(propensities: Rounds, targets: Rounds) -> None:
    """Raise `FeedbackError` if propensities or target probabilities are out of range."""
    if not ((propensities > 0) & (propensities <= 1)).all():
        raise FeedbackError("propensities: must be above 0 and at most 1")
    if not ((targets >= 0) & (targets <= 1)).all():
        raise FeedbackError("targets: must be from 0 to 1")


@dataclass(frozen=True, slots=True)
class Feedback:
    """Rounds of logged feedback.

    Raises:
        FeedbackError: a column has another length, or values out of range.
    """

    users: NDArray[np.intp]
    """(n,) the number of the user of each round."""
    rewards: Rounds
    """(n,) the rewards, of any finite size."""
    propensities: Rounds
    """(n,) probabilities of the items shown under the policy that has shown them, above 0."""
    targets: Rounds
    """(n,) probabilities of the items shown under the policy in question."""
    estimates: Rounds
    """(n,) rewards that a model expects of the items shown; 0 without a model."""
    expectations: Rounds
    """(n,) rewards that the model expects of the policy in question; 0 without a model."""

    def __post_init__(self) -> None:
        """Check the columns."""
        for name in ("rewards", "propensities", "targets", "estimates", "expectations"):
            column = getattr(self, name)
            if column.shape != self.users.shape:
                raise FeedbackError(f"{name}: {len(column)} values for {len(self.users)} rounds")
            check_finite(name, column)
        check_probabilities(self.propensities, self.targets)


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """The value of a policy, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """The value of a policy by several estimators, and how much the log tells of it."""

    rounds: int
    users: int
    logged: PolicyEstimate  # wire
    """The value of the policy that was logged."""
    estimates: Mapping[str, PolicyEstimate]
    """The value of the policy in question, by estimator."""
    effective_rounds: float
    """Number of rounds of the policy itself that would tell as much: (sum of w)^2 by sum of w^2 (Kish 1965)."""
    clipped_share: float
    """Share of the rounds whose weight was clipped."""
    clipped_weight: float
    """Share of the sum of the weights that clipping has taken away."""


def weights(feedback: Feedback, *, max_weight: float = MAX_WEIGHT) -> Rounds:
    """Return (n,) the importance weights.

    Args:
        feedback: The feedback.
        max_weight: The weight at which they are clipped.
    """
    return np.minimum(feedback.targets / feedback.propensities, max_weight)


def ips(feedback: Feedback, *, max_weight: float = MAX_WEIGHT) -> PolicyEstimate:
    """Return the value by inverse propensity scores.

    Args:
        feedback: The feedback.
        max_weight: The weight at which importance weights are clipped.
    """
    values = weights(feedback, max_weight=max_weight) * feedback.rewards
    return by_user(feedback.users, values, np.ones(len(values)))


def snips(feedback: Feedback, *, max_weight: float = MAX_WEIGHT) -> PolicyEstimate:
    """Return the value by self-normalised inverse propensity scores.

    Args:
        feedback: The feedback.
        max_weight: The weight at which importance weights are clipped.
    """
    factors = weights(feedback, max_weight=max_weight)
    return by_user(feedback.users, factors * feedback.rewards, factors)


def doubly_robust(feedback: Feedback, *, max_weight: float = MAX_WEIGHT) -> PolicyEstimate:
    """Return the value by the doubly robust estimator.

    Args:
        feedback: The feedback, with the expectations of a model.
        max_weight: The weight at which importance weights are clipped.
    """
    corrections = weights(feedback, max_weight=max_weight) * (feedback.rewards - feedback.estimates)
    return by_user(feedback.users, feedback.expectations + corrections, np.ones(len(corrections)))


ESTIMATORS: Mapping[str, Callable[..., PolicyEstimate]] = {"ips": ips, "snips": snips, "dr": doubly_robust}


def evaluate_feedback(feedback: Feedback, *, max_weight: float = MAX_WEIGHT) -> PolicyReport:
    """Return the value of a policy by each of the estimators.

    Args:
        feedback: The feedback.
        max_weight: The weight at which importance weights are clipped.

    Raises:
        FeedbackError: there is none, or the policy in question shows nothing of it.
    """
    if not len(feedback.users):
        raise FeedbackError("there is no feedback")
    all_weights = feedback.targets / feedback.propensities
    if not all_weights.any():
        raise FeedbackError("the policy shows none of the items that were shown")
    kept_weights = weights(feedback, max_weight=max_weight)
    return PolicyReport(
        rounds=len(feedback.users),
        users=len(np.unique(feedback.users)),
        logged=by_user(feedback.users, feedback.rewards, np.ones(len(feedback.users))),
        estimates={name: estimate(feedback, max_weight=max_weight) for name, estimate in ESTIMATORS.items()},
        effective_rounds=float(kept_weights.sum() ** 2 / (kept_weights**2).sum()),
        clipped_share=float((all_weights > max_weight).mean()),
        clipped_weight=float(1.0 - kept_weights.sum() / all_weights.sum()),
    )


def by_user(users: NDArray[np.intp], numerators: Rounds, denominators: Rounds) -> PolicyEstimate:
    """Return the sum of numerators over that of denominators, with an interval whose unit is the user.

    Args:
        users: (n,) the number of the user of each round.
        numerators: (n,) values.
        denominators: (n,) values, none below 0.

    >>> by_user(np.array([0, 0, 1]), np.array([1.0, 1.0, 0.0]), np.ones(3)).value
    0.6666666666666666
    """
    numbers = np.unique(users, return_inverse=True)[1]
    totals = np.zeros((int(numbers.max()) + 1, 4))
    totals[:, 0] = np.bincount(numbers, numerators)
    totals[:, 1] = np.bincount(numbers, denominators)
    estimate = ratio(UserMoments.of_totals(totals))
    value, reach = float(estimate.value), _Z * float(np.sqrt(estimate.variance))
    return PolicyEstimate(value, value - reach, value + reach)
