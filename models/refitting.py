"""Base class of models that are refitted to the last events at intervals.

The first refit comes early and the next ones each time the events have doubled, until refits are `refit_every` events
apart. Between refits a model still uses the newest history, since a query brings it.
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

FIRST_REFIT_EVENTS = 32
"""Events before the first refit."""
MATRIX_EVENTS = 1_000_000
"""Smallest number of last events in a refit of a long stream."""
NEGLIGIBLE = 0.01
"""Smallest discount of a query's item; older items are left out."""


def confidence(weight: float, *, dislike_confidence: float) -> float:
    """Return the confidence on [0, 1] that an event shows interest in its item.

    The confidence is 1 for weights of 0.5 and more (a rating of 4, a click) and `dislike_confidence` for a dislike: a
    user who rates a film low still chose to watch it.

    Args:
        weight: Signed weight of the event, from `models.weight`.
        dislike_confidence: Confidence of an event without a positive weight.

    >>> [confidence(weight, dislike_confidence=0.2) for weight in (1.0, 0.25, -0.5)]
    [1.0, 0.75, 0.2]
    """
    return min(1.0, 0.5 + weight) if weight > 0 else dislike_confidence


def history(
    query: ModelQuery,
    items: Vocabulary,
    *,
    position_discount: float,
    dislike_confidence: float,
    is_fitted: Callable[[int], bool] = lambda item: True,
) -> dict[int, float]:
    """Return a query's known items, newest first and each once, with discounted confidences.

    Args:
        query: The query with its recent items.
        items: Numbers of the known items.
        position_discount: Discount per step back.
        dislike_confidence: Confidence of an event without a positive weight.
        is_fitted: Whether an item is part of the last fit.

    >>> items = Vocabulary()
    >>> _ = items.add("jazz"), items.add("folk")
    >>> query = ModelQuery("ann", recent=(("folk", 1.0), ("rock", 1.0), ("jazz", 1.0)))
    >>> history(query, items, position_discount=0.5, dislike_confidence=0.2)  # rock is unknown, and still a step back
    {1: 1.0, 0: 0.25}
    """
    values: dict[int, float] = {}
    weight = 1.0
    for item_id, strength in query.recent:
        item, value = items.get(item_id), confidence(strength, dislike_confidence=dislike_confidence)
        if item != MISSING and item not in values and value > 0 and is_fitted(item):
            values[item] = value * weight
        weight *= position_discount
        if weight < NEGLIGIBLE:
            break
    return values


class EventMatrix:
    """The last events as columns of a user-item matrix; a later event on the same pair replaces the earlier one."""

    def __init__(self, items: Vocabulary, *, capacity: int = MATRIX_EVENTS) -> None:
        """Start empty.

        Args:
            items: Numbers of the items, shared with the model.
            capacity: Number of newest events that are kept, at least.
        """
        self._items, self._users = items, Vocabulary()
        self._capacity = capacity
        self._user, self._item, self._value = array("i"), array("i"), array("f")

    @property
    def user_count(self) -> int:
        """Return the number of users ever."""
        return len(self._users)

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
        if len(self._user) >= 2 * self._capacity:
            for column in (self._user, self._item, self._value):
                del column[: self._capacity]

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

    def __init__(self, *, refit_every: int, dislike_confidence: float, position_discount: float) -> None:
        """Start without a fit.

        Args:
            refit_every: Events between refits, at least; the first refits follow each doubling of the events.
            dislike_confidence: Confidence of an event that is not positive, on [0, 1]; a click has 1.
            position_discount: Discount per step back in the query's history, on (0, 1].
        """
        super().__init__()
        self._refit_every, self._dislike_confidence, self._position_discount = (
            refit_every,
            dislike_confidence,
            position_discount,
        )
        self._event_matrix = EventMatrix(self.items)
        self._count, self._due = 0, FIRST_REFIT_EVENTS
        self.fits = 0
        """Number of fits so far."""

    @property
    def size(self) -> int:
        """Return the number of items and users in the events."""
        return len(self.items) + self._event_matrix.user_count

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Store each event, and refit when due."""
        for event in events:
            self.add([event])
            self.fit_if_due()

    def add(self, events: Sequence[ModelEvent]) -> None:
        """Store events for the next refit."""
        self._fallback.learn(events)
        for event in events:
            self._event_matrix.add(
                event.user_id,
                self.items.get(event.item_id),
                confidence(event.weight, dislike_confidence=self._dislike_confidence),
            )
        self._count += len(events)

    def fit_if_due(self) -> bool:
        """Refit if it is due; return whether it was."""
        if self._count < self._due:
            return False
        matrix = self._event_matrix.matrix()
        self._refit(matrix)
        self._due = self._count + min(self._count, self._pause(matrix))
        self.fits += 1
        return True

    def _query_scores(self, query: ModelQuery) -> Scores | None:
        """Return the last fit's scores, or None for a query without fitted items."""
        query_history = history(
            query,
            self.items,
            position_discount=self._position_discount,
            dislike_confidence=self._dislike_confidence,
            is_fitted=self._knows,
        )
        if not query_history:
            return None
        values = np.fromiter(query_history.values(), np.float64, len(query_history))
        return self._score(np.fromiter(query_history, np.int64, len(query_history)), values)

    def _pause(self, matrix: sparse.csr_array) -> int:
        """Return the number of events before the next refit."""
        return self._refit_every

    @abstractmethod
    def _refit(self, matrix: sparse.csr_array) -> None:
        """Fit to (users, items) values."""

    @abstractmethod
    def _knows(self, item: int) -> bool:
        """Return whether the last fit can start from an item."""

    @abstractmethod
    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        """Return the scores of all fitted items for a non-empty history."""
