"""Matrix factorization of ratings with biases, by gradient steps: r ≈ m + b_u + b_i + p_u·q_i (Funk's SVD; Koren 2009).

The biases are those of `models.factorization.bias`; the factors fit the residual, one step per rating.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.base import ModelEvent
from models.factorization.bias import Bias
from models.rating import RatingModel
from models.vocabulary import Vocabulary

_FIRST_ROWS = 64


class Rows:
    """Factors by name, initialised at random on first use."""

    def __init__(self, size: int, *, spread: float, draw: np.random.Generator) -> None:
        """Start empty.

        Args:
            size: Length of a factor vector.
            spread: Standard deviation of the factors of a new name; 0 for zeros.
            draw: The random generator.
        """
        self._names, self._spread, self._draw = Vocabulary(), spread, draw
        self._table = np.empty((_FIRST_ROWS, size))

    def get(self, name: str) -> NDArray[np.float64] | None:
        """Return a view of the factors of a name; None for an unknown one."""
        row = self._names.get(name)
        return self._row(row) if row >= 0 else None

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        count = len(self._names)
        row = self._names.add(name)
        if row == count:
            if row == len(self._table):
                self._table = np.concatenate([self._table, np.empty_like(self._table)])
            self._table[row] = self._draw.normal(0.0, self._spread, self._table.shape[1])
        return self._row(row)

    def _row(self, row: int) -> NDArray[np.float64]:
        view: NDArray[np.float64] = self._table[row]
        return view


class Svd(RatingModel):
    """Predicts the biases plus the product of the user's and the item's factors."""

    name = "svd"

    def __init__(
        self,
        *,
        factors: int = 32,
        learning_rate: float = 0.1,
        regularization: float = 0.1,
        spread: float = 0.1,
        floor: float = 0.04,
        seed: int = 0,
    ) -> None:
        """Start without factors.

        Args:
            factors: Length of a factor vector.
            learning_rate: Step size.
            regularization: Weight of the L2 penalty on the factors.
            spread: Standard deviation of the factors of a new user; those of a new item are 0.
            floor: Smallest share of an error by which a bias moves, on [0, 1], so that it never stops.
            seed: Seed of the factors.
        """
        draw = np.random.default_rng(seed)
        self._bias = Bias(floor=floor)
        self._users = Rows(factors, spread=spread, draw=draw)
        self._items = Rows(factors, spread=0.0, draw=draw)
        self._rate, self._regularization = learning_rate, regularization

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Take one gradient step for each rating, on the residual of the biases."""
        shrinking = 1.0 - self._rate * self._regularization
        for event in events:
            if event.rating is None:
                continue
            user, item = self._users[event.user_id], self._items[event.item_id]
            error = event.rating - self._bias.of(event.user_id, event.item_id) - float(user @ item)
            move = self._rate * error * item
            item *= shrinking
            item += self._rate * error * user
            user *= shrinking
            user += move
            self._bias.learn([event])

    def predict(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the clipped sums; an unknown user or item contributes 0."""
        return np.clip(np.array([self._of(*pair) for pair in pairs], np.float64), 0.0, 1.0)

    def _of(self, user_id: str, item_id: str) -> float:
        user, item = self._users.get(user_id), self._items.get(item_id)
        product = 0.0 if user is None or item is None else float(user @ item)
        return self._bias.of(user_id, item_id) + product
