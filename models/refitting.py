"""Base class of models that are refitted to the last events at intervals.

The first refit comes early and the next ones each time the events have doubled, until refits are `every` events apart.
Between refits a model still uses the newest history, since a query brings it.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.base import ModelEvent, ModelQuery, Scores
from models.fallback_model import FallbackModel
from models.vocabulary import MISSING, Vocabulary

FIRST = 32
"""Events before the first refit."""
REMEMBERED = 1_000_000
"""Smallest number of last events in a refit of a long stream."""
_NEGLIGIBLE = 0.01
"""Smallest discount of a query's item; older items are left out."""


def confidence(weight: float, *, weak: float) -> float:
    """Return the confidence on [0, 1] that an event shows interest in its item.

    The confidence is 1 for weights of 0.5 and more (a rating of 4, a click) and `weak` for a dislike: a user who rates
    a film low still chose to watch it.

    Args:
        weight: Signed weight of the event, from `models.weight`.
        weak: Confidence of an event without a positive weight.
    """
    return min(1.0, 0.5 + weight) if weight > 0 else weak


def history(
    query: ModelQuery, items: Vocabulary, *, step: float, weak: float, knows: Callable[[int], bool] = lambda item: True
) -> dict[int, float]:
    """Return a query's known items, newest first and each once, with discounted confidences.

    Args:
        query: The query with its recent items.
        items: Numbers of the known items.
        step: Discount per step back.
        weak: Confidence of an event without a positive weight.
        knows: Whether an item is part of the last fit.
    """
    values: dict[int, float] = {}
    weight = 1.0
    for item_id, signed in query.recent:
        item, value = items.get(item_id), confidence(signed, weak=weak)
        if item != MISSING and item not in values and value > 0 and knows(item):
            values[item] = value * weight
        weight *= step
        if weight < _NEGLIGIBLE:
            break
    return values


class EventMatrix:
    """The last events as columns of a user-item matrix; a later event on the same pair replaces the earlier one."""

    def __init__(self, items: Vocabulary, *, remembered: int = REMEMBERED) -> None:
        self._items, self._users = items, Vocabulary()
        self._remembered = remembered
        self._user, self._item, self._value = array("i"), array("i"), array("f")

    def add(self, user_id: str, item: int, value: float) -> None:
        """Append an event; at twice the bound, drop the older half.

        Args:
            user_id: The user.
            item: Number of the item.
            value: Confidence of the event, on [0, 1].
        """
        self._user.append(self._users.add(user_id))
        self._item.append(item)
        self._value.append(value)
        if len(self._user) >= 2 * self._remembered:
            for column in (self._user, self._item, self._value):
                del column[: self._remembered]

    def matrix(self) -> sparse.csr_array:
        """Return the (users, items) float32 confidences, as a copy."""
        user, item = np.array(self._user, np.int64), np.array(self._item, np.int64)
        value = np.array(self._value, np.float32)
        _, last = np.unique((user * max(len(self._items), 1) + item)[::-1], return_index=True)
        last = len(user) - 1 - last
        shape = (len(self._users), len(self._items))
        return sparse.csr_array((value[last], (user[last], item[last])), shape=shape)


class RefittedModel(FallbackModel):
    """Base class with event matrix and refit schedule."""

    def __init__(self, *, every: int, weak: float, step: float) -> None:
        super().__init__()
        self._every, self._weak, self._step = every, weak, step
        self._event_matrix = EventMatrix(self.items)
        self._count, self._due = 0, FIRST

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Store each event, and refit when due."""
        for event in events:
            self._fallback.learn([event])
            self._event_matrix.add(
                event.user_id, self.items.get(event.item_id), confidence(event.weight, weak=self._weak)
            )
            self._count += 1
            if self._count >= self._due:
                matrix = self._event_matrix.matrix()
                self._refit(matrix)
                self._due = self._count + min(self._count, self._pause(matrix))

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the last fit's scores, or None for a query without fitted items."""
        query_history = history(query, self.items, step=self._step, weak=self._weak, knows=self._knows)
        if not query_history:
            return None
        values = np.fromiter(query_history.values(), np.float64, len(query_history))
        return self._score(np.fromiter(query_history, np.int64, len(query_history)), values)

    def _pause(self, matrix: sparse.csr_array) -> int:
        """Return the number of events before the next refit."""
        return self._every

    @abstractmethod
    def _refit(self, matrix: sparse.csr_array) -> None:
        """Fit to (users, items) values."""

    @abstractmethod
    def _knows(self, item: int) -> bool:
        """Return whether the last fit can start from an item."""

    @abstractmethod
    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        """Return the scores of all fitted items for a non-empty history."""
