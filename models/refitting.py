"""Models that are refitted now and then: to the last events, after so many new ones.

The first refit comes early and the next ones each time the events have doubled, until refits are `every` events apart.
Between them a model still answers with the newest history, since a query brings it.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.base import Model, ModelEvent, ModelQuery, Scores
from models.baselines.popularity import Popularity
from models.vocabulary import MISSING, Vocabulary

FIRST = 32
"""Events before the first refit."""
REMEMBERED = 1_000_000
"""Events that a refit looks back on, at least."""
FALLBACK_HALF_LIFE_DAYS = 30.0
_NEGLIGIBLE = 0.01
"""Weight of a step back in a query from which on items are left out."""


def confidence(weight: float, *, weak: float) -> float:
    """Return on [0, 1] how much an event of a signed weight says that the user cares for the item.

    It is 1 from a weight of 0.5 on (a rating of 4, a click) and `weak` at most where the user disliked it: who rates
    a film low has still chosen to see it.
    """
    return min(1.0, 0.5 + weight) if weight > 0 else weak


def history(
    query: ModelQuery, items: Vocabulary, *, step: float, weak: float, knows: Callable[[int], bool] = lambda item: True
) -> dict[int, float]:
    """Return a query's known items, newest first and each at its newest, with interest times `step` per step back."""
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
    """The last events as columns; a user's later event on an item replaces the earlier one."""

    def __init__(self, items: Vocabulary, *, remembered: int = REMEMBERED) -> None:
        self._items, self._users = items, Vocabulary()
        self._remembered = remembered
        self._user, self._item, self._value = array("i"), array("i"), array("f")

    def add(self, user_id: str, item: int, value: float) -> None:
        """Remember an event; the oldest half is forgotten when twice too many are remembered."""
        self._user.append(self._users.add(user_id))
        self._item.append(item)
        self._value.append(value)
        if len(self._user) >= 2 * self._remembered:
            for column in (self._user, self._item, self._value):
                del column[: self._remembered]

    def matrix(self) -> sparse.csr_array:
        """Return (users, items) float32 values, as a copy."""
        user, item = np.array(self._user, np.int64), np.array(self._item, np.int64)
        value = np.array(self._value, np.float32)
        _, last = np.unique((user * max(len(self._items), 1) + item)[::-1], return_index=True)
        last = len(user) - 1 - last
        shape = (len(self._users), len(self._items))
        return sparse.csr_array((value[last], (user[last], item[last])), shape=shape)


class RefittedModel(Model):
    """Keeps the log, counts the events and answers queries that bring no history with decayed popularity."""

    def __init__(self, *, every: int, weak: float, step: float) -> None:
        super().__init__()
        self._every, self._weak, self._step = every, weak, step
        self._fallback = Popularity(half_life_days=FALLBACK_HALF_LIFE_DAYS)
        self.items = self._fallback.items
        self._log = EventMatrix(self.items)
        self._count, self._due = 0, FIRST

    def learn(self, events: Sequence[ModelEvent]) -> None:
        """Remember each event, and refit where one is due."""
        for event in events:
            self._fallback.learn([event])
            self._log.add(event.user_id, self.items.get(event.item_id), confidence(event.weight, weak=self._weak))
            self._count += 1
            if self._count >= self._due:
                matrix = self._log.matrix()
                self._refit(matrix)
                self._due = self._count + min(self._count, self._pause(matrix))

    def scores(self, queries: Sequence[ModelQuery]) -> Scores:
        """Return what the last fit makes of each query's items; the decayed popular items where it knows none."""
        rows = np.full((len(queries), len(self.items)), -np.inf)
        for row, query in zip(rows, queries, strict=True):
            query_history = history(query, self.items, step=self._step, weak=self._weak, knows=self._knows)
            if query_history:
                values = np.fromiter(query_history.values(), np.float64, len(query_history))
                scores = self._score(np.fromiter(query_history, np.int64, len(query_history)), values)
                row[: len(scores)] = scores
            else:
                row[:] = self._fallback.scores([query])[0]
        return rows

    def _pause(self, matrix: sparse.csr_array) -> int:
        """Return how many events are to pass before the next refit."""
        return self._every

    @abstractmethod
    def _refit(self, matrix: sparse.csr_array) -> None:
        """Fit to (users, items) values."""

    @abstractmethod
    def _knows(self, item: int) -> bool:
        """Return whether the last fit can start from an item."""

    @abstractmethod
    def _score(self, items: NDArray[np.int64], values: NDArray[np.float64]) -> Scores:
        """Return scores of the first items, up to as many as the last fit knew, for a history that is not empty."""
