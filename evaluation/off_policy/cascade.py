"""Cascade doubly robust estimator: the value of a policy that makes lists, by the feedback on the lists of another.

Users read a list from its top, so that what they do at a place depends on the places before it (the cascade model).
The value of a list is the sum of its rewards. With the weights w of places 1 to k together it is the mean over lists of

    sum over k of   w(1:k) (r(k) - q(k)) + w(1:k-1) v(k)

where q(k) is what a model expects from place k on, given the items of places 1 to k, and v(k) the same before place k
is drawn by the policy in question (Kiyohara, Saito, Matsuhiro, Narita, Shimizu and Yamamoto, "Doubly robust off-policy
evaluation for ranking policies under the cascade behavior model", WSDM 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.off_policy.estimators import (
    MAX_WEIGHT,
    FeedbackError,
    PolicyEstimate,
    Rounds,
    by_user,
    check_finite,
    check_probabilities,
)


@dataclass(frozen=True, slots=True)
class ListFeedback:
    """Lists that were shown. Places after the end of a shorter list have both probabilities 1, and else 0.

    Raises:
        FeedbackError: a column has another shape, or values out of range.
    """

    users: NDArray[np.intp]
    """(lists,) the number of the user of each list."""
    rewards: Rounds
    """(lists, places) the rewards, best place first."""
    propensities: Rounds
    """(lists, places) probability of each item, given those before it, under the policy that has shown it."""
    targets: Rounds
    """(lists, places) the same under the policy in question."""
    estimates: Rounds
    """(lists, places) rewards that a model expects from each place on; 0 without a model."""
    expectations: Rounds
    """(lists, places) the same before the policy in question draws the place."""

    def __post_init__(self) -> None:
        """Check the columns."""
        for name in ("rewards", "propensities", "targets", "estimates", "expectations"):
            column = getattr(self, name)
            if column.shape != self.rewards.shape or len(column) != len(self.users):
                raise FeedbackError(f"{name}: must have a value for each place of each list")
            check_finite(name, column)
        check_probabilities(self.propensities, self.targets)


def cascade_doubly_robust(feedback: ListFeedback, *, max_weight: float = MAX_WEIGHT) -> PolicyEstimate:
    """Return the value of a list, the sum of its rewards.

    Args:
        feedback: The lists.
        max_weight: The weight of places 1 to k at which it is clipped.

    Raises:
        FeedbackError: there are no lists.
    """
    if not len(feedback.users):
        raise FeedbackError("there is no feedback")
    factors = np.minimum(np.cumprod(feedback.targets / feedback.propensities, axis=1), max_weight)
    earlier = np.hstack([np.ones((len(factors), 1)), factors[:, :-1]])
    values = factors * (feedback.rewards - feedback.estimates) + earlier * feedback.expectations
    return by_user(feedback.users, values.sum(axis=1), np.ones(len(values)))
