"""Erased records of a partition: those that no reader takes into account, so that its log can go without them."""

from __future__ import annotations

from collections.abc import Iterable

from infra.erasure.erasure_index import ErasureIndex

NO_GROUPS = 1 << 62
"""Offset up to which a partition counts as read if no consumer group has committed any."""


class ErasedRecords:
    """Collects the offsets to remove, record by record in the order of the partition.

    - Records of a user up to the line of their erasure, which all readers skip.
    - In compacted topics, records of an erased user up to their newest tombstone, and the tombstone once all consumer
      groups have read it.
    - Requests and other notes of the erasure itself once all consumer groups have read them.
    """

    def __init__(self, erasures: ErasureIndex, *, is_compacted: bool, read_until: int = NO_GROUPS) -> None:
        """Start before the first record.

        Args:
            erasures: The erased users.
            is_compacted: Whether a null value deletes a key.
            read_until: Offset up to which all consumer groups have read the partition.
        """
        self._erasures, self._is_compacted, self._read_until = erasures, is_compacted, read_until
        self._offsets: set[int] = set()
        self._later_offsets: dict[bytes, list[int]] = {}
        """Offsets of records of erased users after the line, by user, in a compacted topic."""
        self.unread_count = 0
        """Number of tombstones and notes that stay because a consumer group has not read them."""

    def add(self, offset: int, user_key: bytes | None, append_ms: int, *, is_tombstone: bool = False) -> None:
        """Add a record.

        Args:
            offset: Its offset.
            user_key: The id of its user; None if it names nobody.
            append_ms: Its append time, in ms since the epoch; of a dead letter, that of its message.
            is_tombstone: Whether its value is null.
        """
        if user_key is None:
            return
        if self._erasures.covers(user_key, append_ms):
            self._offsets.add(offset)
        elif self._is_compacted and self._erasures.knows(user_key):
            self._later_offsets.setdefault(user_key, []).append(offset)
            if is_tombstone:
                self._remove_read(self._later_offsets.pop(user_key))

    def add_note(self, offset: int, user_key: bytes | None) -> None:
        """Add a record of the erasure itself: it goes once it is read.

        Args:
            offset: Its offset.
            user_key: The id of the user.
        """
        if user_key is not None and self._erasures.knows(user_key):
            self._remove_read([offset])

    def add_superseded(self, offsets: Iterable[int]) -> None:
        """Add records of which the log has newer ones with the same keys: its compaction removes them, too.

        Args:
            offsets: Their offsets.
        """
        self._offsets.update(offsets)

    def ranges(self) -> list[tuple[int, int]]:
        """Return the offsets to remove as ascending ranges: first, and last plus one.

        >>> records = ErasedRecords(ErasureIndex(None), is_compacted=True)
        >>> records.add_superseded([7, 3, 4])
        >>> records.ranges()
        [(3, 5), (7, 8)]
        """
        ranges: list[tuple[int, int]] = []
        for offset in sorted(self._offsets):
            if ranges and ranges[-1][1] == offset:
                ranges[-1] = (ranges[-1][0], offset + 1)
            else:
                ranges.append((offset, offset + 1))
        return ranges

    def _remove_read(self, offsets: list[int]) -> None:
        """Remove records of which the last one is a tombstone or a note."""
        if offsets[-1] < self._read_until:
            self._offsets.update(offsets)
        else:
            self.unread_count += 1
            self._offsets.update(offsets[:-1])
