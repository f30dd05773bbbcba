"""Event buffer of neural models: the last events as columns, each with a pointer to its user's previous event.

An event's number counts from the first event ever. Histories are gathered by following the pointers of many events at
once, so that an event costs the same few bytes for any length of history.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.growth import padded

PADDING = -1
_FIRST_ROWS = 1_024

Numbers = NDArray[np.int64]


class EventBuffer:
    """A ring buffer of events."""

    def __init__(self, capacity: int) -> None:
        """Start empty.

        Args:
            capacity: Largest number of events.
        """
        self.count, self._capacity = 0, capacity
        self._last: dict[int, int] = {}
        self._user, self._item = np.empty(0, np.int32), np.empty(0, np.int32)
        self._value, self._before = np.empty(0, np.float32), np.empty(0, np.int64)

    def add(self, user: int, item: int, value: float) -> None:
        """Append an event; the oldest one is overwritten when the buffer is full.

        Args:
            user: Number of the user.
            item: Number of the item.
            value: Confidence of the event, on [0, 1].
        """
        if self.count == len(self._user) < self._capacity:
            self._widen(min(max(2 * self.count, _FIRST_ROWS), self._capacity))
        row = self.count % self._capacity
        self._user[row], self._item[row], self._value[row] = user, item, value
        self._before[row] = self._last.get(user, PADDING)
        self._last[user] = self.count
        self.count += 1

    def newest(self, number: int) -> Numbers:
        """Return the numbers of the last events, oldest first."""
        return np.arange(max(self.count - number, 0), self.count)

    def sample(self, uniform: NDArray[np.float32], *, recency_bias: float = 1.0) -> Numbers:
        """Return one event number for each uniform random number.

        Args:
            uniform: (n,) random numbers from [0, 1).
            recency_bias: Recency bias; 1 is uniform, higher values favour newer events.
        """
        size = min(self.count, self._capacity)
        age = np.minimum((size * uniform.astype(np.float64) ** recency_bias).astype(np.int64), size - 1)
        return self.count - 1 - age

    def histories(self, events: Numbers, length: int) -> Numbers:
        """Return (len(events), length) numbers of the user's events before each event, newest first, padded with -1.

        Args:
            events: (n,) numbers of events.
            length: Number of earlier events, at most.
        """
        histories = np.full((len(events), length), PADDING, np.int64)
        at, oldest = events, self.count - self._capacity
        for step in range(length):
            at = np.where(at >= 0, self._before[self._rows(at)], PADDING)
            at = np.where(at >= oldest, at, PADDING)
            if not (at >= 0).any():
                break
            histories[:, step] = at
        return histories

    def users(self, events: Numbers) -> Numbers:
        """Return the users of events."""
        return self._user[self._rows(events)].astype(np.int64)

    def items(self, events: Numbers) -> Numbers:
        """Return the items of events, -1 for the padding."""
        return np.where(events >= 0, self._item[self._rows(events)], PADDING).astype(np.int64)

    def values(self, events: Numbers) -> NDArray[np.float32]:
        """Return the values of events, 0 for the padding."""
        return np.where(events >= 0, self._value[self._rows(events)], np.float32(0))

    def _rows(self, events: Numbers) -> Numbers:
        return np.maximum(events, 0) % self._capacity

    def _widen(self, rows: int) -> None:
        self._user, self._item = padded(self._user, rows), padded(self._item, rows)
        self._value, self._before = padded(self._value, rows), padded(self._before, rows)
