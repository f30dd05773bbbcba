"""Personal weights: offsets of each user from the shared feature weights.

The random effects of a mixed logit (Revelt and Train 1998), learned online: each outcome of a user moves the user's
offset up the gradient at that user's own weights, with steps scaled by the root mean squared gradient. Offsets decay
with each outcome, so that lasting effects common to all users end up in the shared weights.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from models.blend.blender import Blender, Context, Weights, gradient
from models.blend.fallback import LISTED
from models.blend.feature_matrix import FeatureMatrix, rank_of

_RATE = 0.015
_KEPT = 0.98
"""Decay of an offset per outcome."""
_MIN_SCALE = 0.2
_MAX_CHANGE = 0.3
"""Bound on the change of any score difference by one outcome."""


class PersonalWeights:
    """Online learner of feature weights: the shared ones in a blender, and an offset for each user."""

    def __init__(self, blender: Blender, *, most_users: int | None = None) -> None:
        """Start without offsets.

        Args:
            blender: The shared weights, which learn from all users.
            most_users: Number of users with an offset, those with the newest outcomes; all by default.
        """
        self.blender, self.most_users = blender, most_users
        self._zero: Weights = np.zeros(len(blender.features))
        self._offsets: dict[str, Weights] = {}
        self._changed_users: dict[str, None] = {}

    def offset(self, user_id: str) -> Weights | None:
        """Return a user's (features,) offset from the shared weights; None before the first outcome."""
        return self._offsets.get(user_id)

    def put(self, user_id: str, offset: Weights) -> None:
        """Load an offset that another process learned.

        Args:
            user_id: The user.
            offset: (features,) offset from the shared weights.
        """
        self._put(user_id, offset)

    def forget(self, user_id: str) -> None:
        """Forget the offset of a user."""
        self._offsets.pop(user_id, None)
        self._changed_users.pop(user_id, None)

    @property
    def changed_count(self) -> int:
        """Return the number of users whose offsets changed since `drain`."""
        return len(self._changed_users)

    def drain(self, limit: int) -> list[str]:
        """Return up to `limit` users with changed offsets, oldest change first, and clear their marks."""
        users = list(islice(self._changed_users, limit))
        for user_id in users:
            del self._changed_users[user_id]
        return users

    def learn(
        self,
        user_id: str,
        features: FeatureMatrix,
        chosen_index: int,
        context: Context,
        *,
        outcome_weight: float = 1.0,
    ) -> None:
        """Learn from one outcome.

        Args:
            user_id: The user who made the choice.
            features: (features, n) values of the candidates.
            chosen_index: Index of the chosen candidate.
            context: Class of each context.
            outcome_weight: Weight of the outcome in the shared weights, from 0 to 1; the user's offset counts it in
                full.
        """
        own = self._offsets.get(user_id, self._zero)
        weights = self.blender.weights(context) + own
        scores = features.weighted_sum(weights.astype(np.float32))
        self.blender.fallback.judge(
            features.ranks(chosen_index, list_length=LISTED),
            rank_of(scores, chosen_index),
            outcome_weight=outcome_weight,
        )
        slope = gradient(features, chosen_index, scores)
        step = _bounded(_RATE * slope / np.maximum(self.blender.scale, _MIN_SCALE), features)
        self.blender.learn(features, chosen_index, context, outcome_weight=outcome_weight)
        self._put(user_id, _KEPT * own + step)
        self._changed_users[user_id] = None

    def _put(self, user_id: str, offset: Weights) -> None:
        self._offsets.pop(user_id, None)  # the newest one is the last
        self._offsets[user_id] = offset
        while self.most_users is not None and len(self._offsets) > self.most_users:
            self.forget(next(iter(self._offsets)))


def _bounded(step: Weights, features: FeatureMatrix) -> Weights:
    """Return a step, shortened where it would change a score difference by more than the bound."""
    shifts = features.weighted_sum(step.astype(np.float32))
    change = float(shifts.max() - shifts.min())
    return step if change <= _MAX_CHANGE else step * (_MAX_CHANGE / change)
