"""What each user has done up to now, as queries need it."""

from __future__ import annotations

from array import array
from collections import deque

import numpy as np
from numpy.typing import NDArray

from evaluation.stream import Stream
from models.model import Event, Query

RECENT = 50
"""Items of a user that a query tells, newest first."""


class Histories:
    """Grows with every event learned."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._recent: dict[int, deque[tuple[str, float]]] = {}
        self._touched: dict[int, array[int]] = {}
        self._ids: dict[int, set[str]] = {}
        self._last_ms: dict[int, int] = {}

    def add(self, place: int, event: Event) -> None:
        """Note an event of the stream, as the models were told it."""
        user = int(self._stream.user[place])
        if user not in self._recent:
            self._recent[user] = deque(maxlen=RECENT)
            self._touched[user] = array("i")
            self._ids[user] = set()
        self._recent[user].appendleft((event.item_id, event.weight))
        self._touched[user].append(int(self._stream.item[place]))
        self._ids[user].add(event.item_id)
        self._last_ms[user] = event.at_ms

    def query(self, user: int, at_ms: int) -> Query:
        """Return the query for a user at a time; where items repeat it excludes none."""
        return Query(
            self._stream.users[user],
            tuple(self._recent.get(user, ())),
            frozenset() if self._stream.repeats else frozenset(self._ids.get(user, ())),
            at_ms,
        )

    def touched(self, user: int) -> NDArray[np.int32]:
        """Return the items that may not be shown to a user."""
        seen = self._touched.get(user)
        if seen is None or self._stream.repeats:
            return np.empty(0, np.int32)
        return np.array(seen, np.int32)

    def count(self, user: int) -> int:
        """Return how many events a user has had."""
        return len(self._touched.get(user, ()))

    def gap_ms(self, user: int, at_ms: int) -> int:
        """Return the time since a user's last event, or -1 before the first."""
        last = self._last_ms.get(user)
        return -1 if last is None else at_ms - last
