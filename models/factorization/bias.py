"""Rating biases, learned one rating at a time: r ≈ m + b_u + b_i (Koren, Bell and Volinsky, Computer 2009, eq. 4).

Each step moves a bias by a share of the error, 1 / (n + shrink) at its n-th rating: the shrunk mean of the errors. The
share has a floor, so that a bias follows a user or an item that changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent
from models.rating import RatingModel

UNINFORMED = 0.5
"""Prediction before the first rating."""


class Mean(RatingModel):
    """Predicts the mean of all ratings so far."""

    name = "mean"

    def __init__(self) -> None:
        self.value = UNINFORMED
        self._count = 0

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Update the mean with each rating."""
        for event in events:
            if event.rating is not None:
                self._count += 1
                self.value += (event.rating - self.value) / self._count

    def predict(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the mean for every pair."""
        return np.full(len(pairs), self.value)


class Offsets:
    """Bias of each user, or of each item, from the mean."""

    def __init__(self, *, shrink: float, floor: float) -> None:
        """Start with biases of 0.

        Args:
            shrink: Ratings that a bias of 0 counts as, before the first one.
            floor: Smallest share of an error by which a bias moves, on [0, 1], so that it never stops.
        """
        self._shrink, self._floor = shrink, floor
        self._offsets: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def __getitem__(self, name: str) -> float:
        return self._offsets.get(name, 0.0)

    def move(self, name: str, error: float) -> None:
        """Move a bias by its share of an error.

        Args:
            name: The user or item id.
            error: Rating minus prediction, on the scale of [0, 1].
        """
        count = self._counts[name] = self._counts.get(name, 0) + 1
        share = max(1.0 / (count + self._shrink), self._floor)
        self._offsets[name] = self[name] + share * error


class Bias(RatingModel):
    """Predicts the mean plus the user's and the item's bias."""

    name = "bias"

    def __init__(self, *, user_shrink: float = 4.0, item_shrink: float = 5.0, floor: float = 0.04) -> None:
        """Start with biases of 0.

        Args:
            user_shrink: Ratings that a user's bias of 0 counts as, before the first one.
            item_shrink: The same for an item.
            floor: Smallest share of an error by which a bias moves, on [0, 1], so that it never stops.
        """
        self._mean = Mean()
        self._users = Offsets(shrink=user_shrink, floor=floor)
        self._items = Offsets(shrink=item_shrink, floor=floor)

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Move the mean and both biases towards each rating."""
        for event in events:
            if event.rating is not None:
                error = event.rating - self.of(event.user_id, event.item_id)
                self._users.move(event.user_id, error)
                self._items.move(event.item_id, error)
                self._mean.learn([event])

    def of(self, user_id: str, item_id: str) -> float:
        """Return the sum of mean and biases, which may leave [0, 1].

        Args:
            user_id: The user; an unknown one has a bias of 0.
            item_id: The item; an unknown one has a bias of 0.
        """
        return self._mean.value + self._users[user_id] + self._items[item_id]

    def predict(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the clipped sums."""
        return np.clip(np.array([self.of(user, item) for user, item in pairs], np.float64), 0.0, 1.0)
