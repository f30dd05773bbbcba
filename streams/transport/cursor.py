"""Cursor: the check that a fetch continues the delivered records.

Fetched records may be dropped before delivery (by a rebalance, a stopped flow or a restarted fetcher) although the
client's position has already moved past them. Each fetch therefore reports its start. A fetch that does not start at
the delivered position is dropped, and the partition is sought back. If the same mismatch follows that seek, the broker
moved the position itself (retention deleted the records, or the topic was created again), and there is nothing to seek
back to.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


class Continuation(Enum):
    """The treatment of a fetch."""

    CONTINUES = "continues"
    REWIND = "rewind"
    """Drop the fetch and seek to `Cursors.position`."""
    JUMPED = "jumped"
    """Deliver the fetch and start the partition afresh: the broker set the position."""


@dataclass(slots=True)
class _Cursor:
    position: int | None
    rewound: bool = False


class Cursors(Generic[P]):
    """Tracks, for each partition, the offset up to which all records are delivered."""

    def __init__(self) -> None:
        self._cursors: dict[P, _Cursor] = {}

    def seek(self, partition: P, position: int | None) -> None:
        """Set the start of the next fetch; None when the broker decides."""
        self._cursors[partition] = _Cursor(position)

    def clear(self) -> None:
        """Forget all partitions."""
        self._cursors.clear()

    def position(self, partition: P) -> int | None:
        """Return the next offset to deliver, or None when the broker decides."""
        cursor = self._cursors.get(partition)
        return None if cursor is None else cursor.position

    def compare(self, partition: P, start: int | None) -> Continuation:
        """Compare the start of a fetch with the delivered position.

        Args:
            partition: The partition.
            start: The start of the fetch; None while the broker was setting the position.
        """
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
        """Note that all records below a position are delivered."""
        self._cursors.setdefault(partition, _Cursor(None)).position = position
