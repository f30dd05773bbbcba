"""What is due when: one time per key, the earliest first."""

from __future__ import annotations

import heapq


class DelayQueue:
    """Keys and the time at which each is due."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        """Entries that are not those of `_due` any more are passed over."""

    def __len__(self) -> int:
        """Return how many keys wait."""
        return len(self._due)

    def put(self, key: str, due_at: int | None) -> None:
        """Say when a key is due; None takes it off."""
        if due_at is None:
            self._due.pop(key, None)
        elif self._due.get(key) != due_at:
            self._due[key] = due_at
            heapq.heappush(self._heap, (due_at, key))

    def take(self, now_ms: int) -> list[str]:
        """Take off and return the keys that are due, longest due first."""
        keys = []
        while self._heap and self._heap[0][0] <= now_ms:
            due_at, key = heapq.heappop(self._heap)
            if self._due.get(key) == due_at:
                del self._due[key]
                keys.append(key)
        return keys

    def clear(self) -> None:
        """Forget everything."""
        self._due.clear()
        self._heap.clear()
