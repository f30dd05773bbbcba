"""Offset tracker: the offset of each partition that may be committed.

A partition's batches are registered in the order of their offsets and acknowledged in any order. The committable offset
is the end of the last batch before the first unacknowledged one. Starting a partition afresh (after it was assigned,
revoked or sought) voids its batches in flight: a later acknowledgement of them has no effect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True, slots=True)
class InFlight:
    """The delivered, unacknowledged batches of a partition."""

    batches: int = 0
    records: int = 0
    """Records that their agents may still need."""
    size_bytes: int = 0
    """Size of these records."""
    processed_records: int = 0
    """Records that no agent needs any more."""


@dataclass(slots=True)
class _PartitionOffsets:
    """The state of one partition between two starts."""

    open: deque[InFlightBatch[Hashable]] = field(default_factory=deque)
    ready: int | None = None
    committed_offset: int | None = None
    batches: int = 0
    records: int = 0
    size_bytes: int = 0
    processed_records: int = 0


@dataclass(slots=True, eq=False)
class InFlightBatch(Generic[P]):
    """One delivered batch, to be acknowledged by its agent."""

    partition: P
    end: int
    records: int
    size_bytes: int
    offsets: _PartitionOffsets = field(repr=False)
    is_processed: bool = False
    is_acknowledged: bool = False


class OffsetTracker(Generic[P]):
    """Tracks, for each partition, the batches in flight and the committable offset."""

    def __init__(self) -> None:
        self._partitions: dict[P, _PartitionOffsets] = {}

    def start(self, partition: P) -> None:
        """Start a partition afresh; its batches in flight become void."""
        self._partitions[partition] = _PartitionOffsets()

    def clear(self) -> None:
        """Forget all partitions."""
        self._partitions.clear()

    def deliver(self, partition: P, end: int, *, records: int, size_bytes: int) -> InFlightBatch[P]:
        """Register the next batch of a partition.

        Args:
            partition: The partition.
            end: The offset after the last record of the batch.
            records: Number of records.
            size_bytes: Size of the records.

        Raises:
            ValueError: the batch is out of order.
        """
        offsets = self._partitions.setdefault(partition, _PartitionOffsets())
        newest = offsets.open[-1].end if offsets.open else offsets.ready
        if newest is not None and end <= newest:
            raise ValueError(f"{partition}: a batch up to {end} after one up to {newest}")
        batch = InFlightBatch(partition, end, records, size_bytes, offsets)
        offsets.open.append(batch)  # type: ignore[arg-type]
        offsets.batches += 1
        offsets.records += records
        offsets.size_bytes += size_bytes
        return batch

    def skip_to(self, partition: P, position: int) -> None:
        """Note that no record below a position is left to deliver: compacted offsets, control records."""
        offsets = self._partitions.setdefault(partition, _PartitionOffsets())
        if offsets.open:
            offsets.open[-1].end = max(offsets.open[-1].end, position)
        elif offsets.ready is None or offsets.ready < position:
            offsets.ready = position

    def process(self, batch: InFlightBatch[P]) -> None:
        """Mark the records of a batch as processed: their memory is free, though the batch is not acknowledged yet."""
        if batch.is_processed or batch.is_acknowledged:
            return
        batch.is_processed = True
        offsets = batch.offsets
        offsets.records -= batch.records
        offsets.size_bytes -= batch.size_bytes
        offsets.processed_records += batch.records

    def acknowledge(self, batch: InFlightBatch[P]) -> bool:
        """Mark a batch as acknowledged; return False if it is void or already acknowledged."""
        if batch.is_acknowledged or not self.is_live(batch):
            return False
        self.process(batch)
        batch.is_acknowledged = True
        offsets = batch.offsets
        offsets.batches -= 1
        offsets.processed_records -= batch.records
        while offsets.open and offsets.open[0].is_acknowledged:
            offsets.ready = offsets.open.popleft().end
        return True

    def is_live(self, batch: InFlightBatch[P]) -> bool:
        """Return whether the partition of a batch has not started afresh since its delivery."""
        return self._partitions.get(batch.partition) is batch.offsets

    def committable(self, partition: P) -> int | None:
        """Return the offset to commit, or None if it is committed already."""
        offsets = self._partitions.get(partition)
        if (
            offsets is None
            or offsets.ready is None
            or (offsets.committed_offset is not None and offsets.ready <= offsets.committed_offset)
        ):
            return None
        return offsets.ready

    def pending(self) -> Iterable[P]:
        """Return the partitions with an offset to commit."""
        return [partition for partition in self._partitions if self.committable(partition) is not None]

    def commit(self, partition: P, offset: int) -> None:
        """Note a successful commit; until then the offset stays committable, so a failed commit is repeated."""
        offsets = self._partitions.get(partition)
        if offsets is not None:
            offsets.committed_offset = (
                offset if offsets.committed_offset is None else max(offsets.committed_offset, offset)
            )

    def committed(self, partition: P) -> int | None:
        """Return the newest committed offset since the partition started, or None."""
        offsets = self._partitions.get(partition)
        return None if offsets is None else offsets.committed_offset

    def load(self, partition: P) -> InFlight:
        """Return the batches of a partition that are in flight."""
        offsets = self._partitions.get(partition)
        if offsets is None:
            return InFlight()
        return InFlight(offsets.batches, offsets.records, offsets.size_bytes, offsets.processed_records)
