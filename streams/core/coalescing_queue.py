"""Coalescing queue: the newest value per key while the worker is busy, with an acknowledgement for every event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")

_LONGEST_SHARE = 4
"""One in this many values taken is the longest waiting, regardless of priority."""


class _PendingAcks(Generic[T]):
    __slots__ = ("count", "token")

    def __init__(self, token: T, count: int) -> None:
        self.token, self.count = token, count


class CoalescingQueue(Generic[T, K, V]):
    """The newest value of each key, first in first out except for keys with priority.

    A token, such as the event that brought values, is returned by `acknowledge` once all its keys are processed, with
    its own values or with newer ones.
    """

    def __init__(self) -> None:
        self._waiting: dict[K, V] = {}
        self._priority: dict[K, None] = {}
        """Waiting keys with priority."""
        self._pending_acks: dict[K, list[_PendingAcks[T]]] = {}
        self._in_flight: dict[K, list[_PendingAcks[T]]] = {}

    def __len__(self) -> int:
        """Return the number of keys waiting or in flight."""
        return len(self._waiting) + len(self._in_flight)

    def add(self, token: T, values: Mapping[K, V], *, priority_keys: Iterable[K] = ()) -> None:
        """Add values, replacing waiting ones of the same keys.

        Args:
            token: The token to return once all keys are processed.
            values: The values by key; must not be empty.
            priority_keys: Those of the keys that have priority.
        """
        ack = _PendingAcks(token, len(values))
        for key, value in values.items():
            self._waiting[key] = value
            self._pending_acks.setdefault(key, []).append(ack)
        self._priority.update(dict.fromkeys(priority_keys))

    def take(self, limit: int) -> dict[K, V]:
        """Take keys with priority first, then the longest waiting, which always get a share; return their values.

        Args:
            limit: The maximum number of values.
        """
        keys = dict.fromkeys(islice(self._priority, limit - limit // _LONGEST_SHARE))
        for key in self._waiting:
            if len(keys) == limit:
                break
            keys[key] = None
        for key in keys:
            self._priority.pop(key, None)
            self._in_flight.setdefault(key, []).extend(self._pending_acks.pop(key))
        return {key: self._waiting.pop(key) for key in keys}

    def put_back(self, values: Mapping[K, V]) -> None:
        """Return taken values to the queue, unless newer ones are waiting."""
        for key, value in values.items():
            self._waiting.setdefault(key, value)
            self._pending_acks.setdefault(key, []).extend(self._in_flight.pop(key))

    def ack_counts(self, keys: Iterable[K]) -> dict[K, int]:
        """Return the acknowledgements in flight per key, for `acknowledge`: a key may be taken again meanwhile."""
        return {key: len(self._in_flight.get(key, ())) for key in keys}

    def acknowledge(self, ack_counts: Mapping[K, int]) -> list[T]:
        """Acknowledge taken keys; return the tokens without pending acknowledgements.

        Args:
            ack_counts: The number of acknowledgements per key, as `ack_counts` returned it.
        """
        tokens: list[T] = []
        for key, count in ack_counts.items():
            acks = self._in_flight.pop(key, [])
            for ack in acks[:count]:
                ack.count -= 1
                if not ack.count:
                    tokens.append(ack.token)
            if acks[count:]:
                self._in_flight[key] = acks[count:]
        return tokens

    def clear(self) -> None:
        """Remove everything, as after a rebalance."""
        self._waiting.clear()
        self._priority.clear()
        self._pending_acks.clear()
        self._in_flight.clear()
