"""Personal weights: what a user's own choices add to the weights that all users share.

The random effects of a mixed logit (Revelt and Train 1998), followed online: each outcome of a user moves the user's
own offset up the gradient at the weights that ranked for that user, by steps in units of the usual gradient. Offsets
fade from outcome to outcome, so that what lasts for all users ends in the shared weights.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from models.blend.blender import Blender, Context, Mask, Weights, gradient
from models.blend.feature_matrix import FeatureMatrix

_RATE = 0.015
_KEPT = 0.98
"""What an outcome leaves of the offset before it."""
_LEAST_SCALE = 0.2
_MOST_CHANGE = 0.3
"""How far one outcome may move any two scores apart."""


class PersonalWeights:
    """Learns weights from outcomes: those shared by all users, in a blender, and each user's own."""

    def __init__(self, blender: Blender) -> None:
        self.blender = blender
        self._zero: Weights = np.zeros(len(blender.features))
        self._offsets: dict[str, Weights] = {}
        self._changed: dict[str, None] = {}

    def offset(self, user_id: str) -> Weights | None:
        """Return (parts,) what a user's own choices add to the shared weights; None before the first outcome."""
        return self._offsets.get(user_id)

    def put(self, user_id: str, offset: Weights) -> None:
        """Take over an offset that was learned elsewhere."""
        self._offsets[user_id] = offset

    @property
    def waiting(self) -> int:
        """Return how many users' offsets changed since `drain`."""
        return len(self._changed)

    def drain(self, most: int) -> list[str]:
        """Return at most so many users whose offsets changed, longest ago first, and forget that they did."""
        users = list(islice(self._changed, most))
        for user_id in users:
            del self._changed[user_id]
        return users

    def learn(
        self,
        user_id: str,
        features: FeatureMatrix,
        chosen_index: int,
        context: Context,
        *,
        among: Mask | None = None,
        share: float = 1.0,
    ) -> None:
        """Learn from one outcome.

        Args:
            user_id: The user who chose.
            parts: (parts, n) what was there to choose from.
            taken: The place of the candidate that was chosen.
            context: The classes of the moment.
            among: (n,) which candidates could be chosen; all by default.
            share: From 0 to 1, how much the outcome counts for others; for the user it counts in full.
        """
        own = self._offsets.get(user_id, self._zero)
        slope = gradient(features, chosen_index, self.blender.weights(context) + own, among=among)
        step = _bounded(_RATE * slope / np.maximum(self.blender.scale, _LEAST_SCALE), features, among)
        self.blender.learn(features, chosen_index, context, among=among, share=share)
        self._offsets[user_id] = _KEPT * own + step
        self._changed[user_id] = None


def _bounded(step: Weights, features: FeatureMatrix, among: Mask | None) -> Weights:
    """Return a step made so short that it moves no two scores further apart than is allowed."""
    moved = features.weighted_sum(step.astype(np.float32))
    moved = moved if among is None else moved[among]
    change = float(moved.max() - moved.min())
    return step if change <= _MOST_CHANGE else step * (_MOST_CHANGE / change)
