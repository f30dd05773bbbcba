"""Positions in a source partition, and how they tell a repeat from news."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class HasPosition(Protocol):
    """A record as it was read from its partition."""

    partition: int
    offset: int
    timestamp: int


class Position(NamedTuple):
    """Where a record stood: its partition, its offset and the broker's append time."""

    partition: int
    offset: int
    append_ms: int

    @classmethod
    def of(cls, record: HasPosition) -> Position:
        """Return where a record stood."""
        return cls(record.partition, record.offset, record.timestamp)

    def repeats(self, last: tuple[int, int] | None) -> bool:
        """Say whether a record here was already folded when `last`, (offset, append time), was the newest folded.

        A repeat is not past `last` by either measure. A topic that was created anew starts again at offset 0 but later
        in time, and a broker's clock may step back but its offsets do not: both count as news.
        """
        return last is not None and self.offset <= last[0] and self.append_ms <= last[1]

    def after(self, last: tuple[int, int] | None) -> tuple[int, int]:
        """Return the newest (offset, append time) once this record is folded."""
        return self.offset, self.append_ms if last is None else max(self.append_ms, last[1])


def new_records(
    last: tuple[int, int] | None, offsets: Sequence[int], times_ms: Sequence[int]
) -> tuple[list[int], tuple[int, int] | None]:
    """Return which records of a partition, given in their order, are no repeats, and the newest position after them.

    It says of each what `Position.repeats` says, of many at once.
    """
    newest, newest_ms = last or (-1, -1)
    indices = []
    for index, (offset, append_ms) in enumerate(zip(offsets, times_ms, strict=True)):
        if offset > newest or append_ms > newest_ms:
            newest, newest_ms = offset, max(append_ms, newest_ms)
            indices.append(index)
    return indices, (newest, newest_ms) if indices else last
