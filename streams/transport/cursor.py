"""The cursor: whether what was fetched continues what was delivered.

Fetched records may be dropped on their way (a rebalance, a stopped flow, a restarted fetcher) while the client's
position has moved past them already. Each fetch therefore tells where it started; one that does not start where
delivery stands is refused and the partition is sought back. When the same disagreement follows a seek, the broker moved
the position itself (retention deleted the records, or the topic was made anew), and there is nothing to go back to.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class Continuation(Enum):
    """What to do with a fetch."""

    CONTINUES = "continues"
    REWIND = "rewind"
    """Drop it and seek to `Cursors.position`."""
    JUMPED = "jumped"
    """Deliver it, and start the partition afresh: the broker set the position."""


@dataclass(slots=True)
class _Cursor:
    position: int | None
    rewound: bool = False


class Cursors(Generic[P]):
    """Keeps the offset of each partition up to which everything was delivered."""

    def __init__(self) -> None:
        self._cursors: dict[P, _Cursor] = {}

    def seek(self, partition: P, position: int | None) -> None:
        """Note where the next fetch must start; None when the broker will say."""
        self._cursors[partition] = _Cursor(position)

    def clear(self) -> None:
        """Forget all partitions."""
        self._cursors.clear()

    def position(self, partition: P) -> int | None:
        """Return the offset that is delivered next, or None when the broker will say."""
        cursor = self._cursors.get(partition)
        return None if cursor is None else cursor.position

    def judge(self, partition: P, start: int | None) -> Continuation:
        """Compare the start of a fetch with what was delivered; None means that the broker was setting the position."""
        cursor = self._cursors.setdefault(partition, _Cursor(None))
        if cursor.position is None or start == cursor.position:
            cursor.rewound = False
            return Continuation.CONTINUES
        if start is None or cursor.rewound:
            cursor.rewound = False
            return Continuation.JUMPED
        cursor.rewound = True
        return Continuation.REWIND

    def move(self, partition: P, position: int) -> None:
        """Note that everything below a position was delivered."""
        self._cursors.setdefault(partition, _Cursor(None)).position = position
