"""Positions in a source partition, and the detection of repeats by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class HasPosition(Protocol):
    """A record, as read from its partition."""

    partition: int
    offset: int
    timestamp: int


class Position(NamedTuple):
    """The position of a record: its partition, its offset and the broker's append time."""

    partition: int
    offset: int
    append_ms: int

    @classmethod
    def of(cls, record: HasPosition) -> Position:
        """Return the position of a record."""
        return cls(record.partition, record.offset, record.timestamp)

    def repeats(self, last: tuple[int, int] | None) -> bool:
        """Return whether a record here was already folded, given `last`, the newest (offset, append time) folded.

        A repeat is not past `last` by either measure. A topic that was created anew starts again at offset 0 but later
        in time, and a broker's clock may step back but its offsets do not: both count as new.
        """
        return last is not None and self.offset <= last[0] and self.append_ms <= last[1]

    def after(self, last: tuple[int, int] | None) -> tuple[int, int]:
        """Return the newest (offset, append time) once this record is folded."""
        return self.offset, self.append_ms if last is None else max(self.append_ms, last[1])


def new_records(
    last: tuple[int, int] | None, offsets: Sequence[int], times_ms: Sequence[int]
) -> tuple[list[int], tuple[int, int] | None]:
    """Return the indices of the records of a partition that are no repeats, and the newest position after them.

    The result equals that of `Position.repeats` on each record in order.
    """
    newest, newest_ms = last or (-1, -1)
    indices = []
    for index, (offset, append_ms) in enumerate(zip(offsets, times_ms, strict=True)):
        if offset > newest or append_ms > newest_ms:
            newest, newest_ms = offset, max(append_ms, newest_ms)
            indices.append(index)
    return indices, (newest, newest_ms) if indices else last
