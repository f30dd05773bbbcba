"""The ledger: what of each partition may be committed.

A partition's batches are registered in the order of their offsets and acknowledged in any order. What may be committed
is the end of the last batch before the first unfinished one. Starting a partition afresh (it was assigned, revoked or
sought) voids the batches that are out, so an acknowledgement from before counts for nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True, slots=True)
class InFlight:
    """What of a partition is delivered and not yet acknowledged."""

    batches: int = 0
    records: int = 0
    size_bytes: int = 0


@dataclass(slots=True)
class _PartitionOffsets:
    """One partition from one start to the next."""

    open: deque[InFlightBatch[Hashable]] = field(default_factory=deque)
    ready: int | None = None
    committed: int | None = None
    batches: int = 0
    records: int = 0
    size_bytes: int = 0


@dataclass(slots=True, eq=False)
class InFlightBatch(Generic[P]):
    """One delivered batch: what its agent acknowledges."""

    partition: P
    end: int
    records: int
    size_bytes: int
    lane: _PartitionOffsets = field(repr=False)
    is_acknowledged: bool = False


class OffsetTracker(Generic[P]):
    """Keeps, for each partition, which batches are out and how far it may be committed."""

    def __init__(self) -> None:
        self._lanes: dict[P, _PartitionOffsets] = {}

    def start(self, partition: P) -> None:
        """Start a partition afresh; batches of it that are out become void."""
        self._lanes[partition] = _PartitionOffsets()

    def clear(self) -> None:
        """Forget all partitions."""
        self._lanes.clear()

    def deliver(self, partition: P, end: int, *, records: int, size_bytes: int) -> InFlightBatch[P]:
        """Register the next batch of a partition; `end` is the offset after its last record.

        Raises:
            ValueError: batches must come in order.
        """
        lane = self._lanes.setdefault(partition, _PartitionOffsets())
        newest = lane.open[-1].end if lane.open else lane.ready
        if newest is not None and end <= newest:
            raise ValueError(f"{partition}: a batch up to {end} after one up to {newest}")
        ticket = InFlightBatch(partition, end, records, size_bytes, lane)
        lane.open.append(ticket)  # type: ignore[arg-type]
        lane.batches += 1
        lane.records += records
        lane.size_bytes += size_bytes
        return ticket

    def skip_to(self, partition: P, position: int) -> None:
        """Note that nothing is left to deliver below a position: compacted offsets, control records."""
        lane = self._lanes.setdefault(partition, _PartitionOffsets())
        if lane.open:
            lane.open[-1].end = max(lane.open[-1].end, position)
        elif lane.ready is None or lane.ready < position:
            lane.ready = position

    def acknowledge(self, ticket: InFlightBatch[P]) -> bool:
        """Mark a batch as done; False when it is void or was done before."""
        if ticket.is_acknowledged or not self.is_live(ticket):
            return False
        ticket.is_acknowledged = True
        lane = ticket.lane
        lane.batches -= 1
        lane.records -= ticket.records
        lane.size_bytes -= ticket.size_bytes
        while lane.open and lane.open[0].is_acknowledged:
            lane.ready = lane.open.popleft().end
        return True

    def is_live(self, ticket: InFlightBatch[P]) -> bool:
        """Say whether the ticket's partition is still the one it was delivered from."""
        return self._lanes.get(ticket.partition) is ticket.lane

    def committable(self, partition: P) -> int | None:
        """Return the offset that may be committed, or None when the newest one is committed already."""
        lane = self._lanes.get(partition)
        if lane is None or lane.ready is None or (lane.committed is not None and lane.ready <= lane.committed):
            return None
        return lane.ready

    def pending(self) -> Iterable[P]:
        """Return the partitions that have something to commit."""
        return [partition for partition in self._lanes if self.committable(partition) is not None]

    def commit(self, partition: P, offset: int) -> None:
        """Note that the broker took a commit. Until then it stays committable, so a failed one loses no ground."""
        lane = self._lanes.get(partition)
        if lane is not None:
            lane.committed = offset if lane.committed is None else max(lane.committed, offset)

    def committed(self, partition: P) -> int | None:
        """Return the newest offset that the broker took since the partition started."""
        lane = self._lanes.get(partition)
        return None if lane is None else lane.committed

    def load(self, partition: P) -> InFlight:
        """Return what of a partition is in flight."""
        lane = self._lanes.get(partition)
        return InFlight() if lane is None else InFlight(lane.batches, lane.records, lane.size_bytes)
