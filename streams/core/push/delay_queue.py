"""Delay queue: one due time per key, the earliest first."""

from __future__ import annotations

import heapq


class DelayQueue:
    """Keys and their due times."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        """Entries that differ from those of `_due` are stale and skipped."""

    def __len__(self) -> int:
        """Return the number of waiting keys."""
        return len(self._due)

    def put(self, key: str, due_at: int | None) -> None:
        """Set the due time of a key, in ms since the epoch; None removes the key."""
        if due_at is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_at:
            self._due[key] = due_at
            heapq.heappush(self._heap, (due_at, key))

    def take(self, now_ms: int) -> list[str]:
        """Remove and return the due keys, longest due first."""
        keys = []
        while self._heap and self._heap[0][0] <= now_ms:
            due_at, key = heapq.heappop(self._heap)
            if self._due.get(key) == due_at:
                del self._due[key]
                keys.append(key)
        return keys

    def clear(self) -> None:
        """Remove all keys."""
        self._due.clear()
        self._heap.clear()
