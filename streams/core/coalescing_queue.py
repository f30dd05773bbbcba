"""Keeping only the newest value per key while the worker is busy, without losing what it owes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_LONGEST_SHARE = 4
"""One in so many of what is taken are the longest waiting, however much presses."""


class _PendingAcks(Generic[T]):
    __slots__ = ("count", "token")

    def __init__(self, token: T, count: int) -> None:
        self.token, self.count = token, count


class CoalescingQueue(Generic[T, K, V]):
    """Holds the newest value of each key until it is taken: first come first served, but for keys that press.

    A token, such as the event that brought values, is given back by `done` once all its keys were worked on, be it with
    its own values or with newer ones.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, V] = {}
        self._pressing: dict[K, None] = {}
        """Of the keys that wait, those that go first."""
        self._pending_acks: dict[K, list[_PendingAcks[T]]] = {}
        self._in_flight: dict[K, list[_PendingAcks[T]]] = {}

    def __len__(self) -> int:
        """Return how many keys wait or are being worked on."""
        return len(self._waiting) + len(self._in_flight)

    def add(self, token: T, values: Mapping[K, V], *, pressing: Iterable[K] = ()) -> None:
        """Put newer values in place of those that wait. `values` must not be empty; some of its keys may press."""
        debt = _PendingAcks(token, len(values))
        for key, value in values.items():
            self._waiting[key] = value
            self._pending_acks.setdefault(key, []).append(debt)
        self._pressing.update(dict.fromkeys(pressing))

    def take(self, most: int) -> dict[K, V]:
        """Return at most so many values: those that press, then the longest waiting, which always get a share."""
        keys = dict.fromkeys(islice(self._pressing, most - most // _LONGEST_SHARE))
        for key in self._waiting:
            if len(keys) == most:
                break
            keys[key] = None
        for key in keys:
            self._pressing.pop(key, None)
            self._in_flight.setdefault(key, []).extend(self._pending_acks.pop(key))
        return {key: self._waiting.pop(key) for key in keys}

    def back(self, values: Mapping[K, V]) -> None:
        """Have taken values wait again, where no newer ones do."""
        for key, value in values.items():
            self._waiting.setdefault(key, value)
            self._pending_acks.setdefault(key, []).extend(self._in_flight.pop(key))

    def owed(self, keys: Iterable[K]) -> dict[K, int]:
        """Return how many values of taken keys are worked on now, for `done`: a key may be taken again meanwhile."""
        return {key: len(self._in_flight.get(key, ())) for key in keys}

    def done(self, owed: Mapping[K, int]) -> list[T]:
        """Say that so many values of taken keys were worked on; return the tokens that owe nothing more."""
        settled: list[T] = []
        for key, count in owed.items():
            debts = self._in_flight.pop(key, [])
            for debt in debts[:count]:
                debt.count -= 1
                if not debt.count:
                    settled.append(debt.token)
            if debts[count:]:
                self._in_flight[key] = debts[count:]
        return settled

    def clear(self) -> None:
        """Forget everything, as after a rebalance."""
        self._waiting.clear()
        self._pressing.clear()
        self._pending_acks.clear()
        self._in_flight.clear()
