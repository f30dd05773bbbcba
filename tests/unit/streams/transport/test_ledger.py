"""The commit rule: never past an unfinished record, everything once all is done, nothing from before a restart."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from streams.transport.ledger import InFlight, InFlightBatch, OffsetTracker

PARTITIONS = ("a-0", "a-1", "b-0")
partitions = st.sampled_from(PARTITIONS)


class NaivePartition:
    """Every offset on its own."""

    def __init__(self, position: int) -> None:
        self.start = self.position = position
        self.open_offsets: set[int] = set()
        self.processed_offsets: set[int] = set()
        self.committed_offset: int | None = None

    @property
    def committable(self) -> int | None:
        if self.position == self.start:
            return None
        safe = min(self.open_offsets, default=self.position)
        return safe if safe > (self.start if self.committed_offset is None else self.committed_offset) else None


class LedgerMachine(RuleBasedStateMachine):
    """Compares the ledger with a model that keeps every offset."""

    batches: Bundle[tuple[int, set[int], InFlightBatch[str]]] = Bundle("batches")

    def __init__(self) -> None:
        super().__init__()
        self.ledger: OffsetTracker[str] = OffsetTracker()
        self.naive = {partition: NaivePartition(0) for partition in PARTITIONS}
        self.starts = dict.fromkeys(PARTITIONS, 0)
        self.ever_committed = dict.fromkeys(PARTITIONS, 0)
        for partition in PARTITIONS:
            self.ledger.start(partition)

    @rule(target=batches, partition=partitions, records=st.integers(1, 5), gap=st.integers(0, 3))
    def deliver(self, partition: str, records: int, gap: int) -> tuple[int, set[int], InFlightBatch[str]]:
        naive = self.naive[partition]
        first = naive.position
        end = first + records + gap
        batch = self.ledger.deliver(partition, end, records=records, size_bytes=10 * records)
        offsets = set(range(first, first + records))
        naive.open_offsets |= offsets
        naive.position = end
        return self.starts[partition], offsets, batch

    @rule(partition=partitions, gap=st.integers(1, 3))
    def pass_over(self, partition: str, gap: int) -> None:
        naive = self.naive[partition]
        naive.position += gap
        self.ledger.skip_to(partition, naive.position)

    @rule(batch=st.one_of(consumes(batches), batches))
    def acknowledge(self, batch: tuple[int, set[int], InFlightBatch[str]]) -> None:
        start, offsets, in_flight = batch
        naive = self.naive[in_flight.partition]
        live = start == self.starts[in_flight.partition]
        counts = live and offsets <= naive.open_offsets
        assert self.ledger.is_live(in_flight) == live
        assert self.ledger.acknowledge(in_flight) == counts
        if counts:
            naive.open_offsets -= offsets

    @rule(batch=batches)
    def process(self, batch: tuple[int, set[int], InFlightBatch[str]]) -> None:
        start, offsets, in_flight = batch
        self.ledger.process(in_flight)
        if start == self.starts[in_flight.partition]:
            self.naive[in_flight.partition].processed_offsets |= offsets

    @rule(partition=partitions, is_committed=st.booleans())
    def commit(self, partition: str, is_committed: bool) -> None:
        due = self.ledger.committable(partition)
        if due is not None and is_committed:
            self.ledger.commit(partition, due)
            self.naive[partition].committed_offset = due
            self.ever_committed[partition] = due

    @rule(partition=partitions)
    def restart(self, partition: str) -> None:
        self.ledger.start(partition)
        self._restarted(partition)

    @rule()
    def rebalance(self) -> None:
        self.ledger.clear()
        for partition in PARTITIONS:
            self._restarted(partition)

    def _restarted(self, partition: str) -> None:
        self.starts[partition] += 1
        self.naive[partition] = NaivePartition(self.ever_committed[partition])

    @rule(target=batches)
    def nothing(self) -> object:
        return multiple()

    @invariant()
    def agrees(self) -> None:
        for partition, naive in self.naive.items():
            due = self.ledger.committable(partition)
            assert due == naive.committable
            if due is not None:
                assert not any(offset < due for offset in naive.open_offsets)
            assert (partition in self.ledger.pending()) == (due is not None)
            load = self.ledger.load(partition)
            assert load.records == len(naive.open_offsets - naive.processed_offsets)
            assert load.size_bytes == 10 * load.records
            assert load.processed_records == len(naive.open_offsets & naive.processed_offsets)
            assert (load.batches == 0) == (not naive.open_offsets)


LedgerMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestLedgerMachine = LedgerMachine.TestCase


def deliver(ledger: OffsetTracker[str], *ends: int) -> list[InFlightBatch[str]]:
    return [ledger.deliver("t", end, records=10, size_bytes=100) for end in ends]


def test_commit_stops_before_the_first_unfinished_batch() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    first, second, third = deliver(ledger, 10, 20, 30)
    ledger.acknowledge(third)
    assert ledger.committable("t") is None
    ledger.acknowledge(first)
    assert ledger.committable("t") == 10
    ledger.acknowledge(second)
    assert ledger.committable("t") == 30


def test_failed_commit_loses_no_ground() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    first, second = deliver(ledger, 10, 20)
    ledger.acknowledge(first)
    assert ledger.committable("t") == ledger.committable("t") == 10
    ledger.acknowledge(second)
    ledger.commit("t", 10)
    assert ledger.committable("t") == 20
    assert ledger.committed("t") == 10
    ledger.commit("t", 20)
    ledger.commit("t", 10)  # the answer to an earlier commit comes late
    assert ledger.committable("t") is None


def test_commit_that_lands_late_never_goes_back() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    deliver(ledger, 500)
    ledger.start("t")
    ledger.commit("t", 500)
    (again,) = deliver(ledger, 400)
    ledger.acknowledge(again)
    assert ledger.committable("t") is None


def test_acknowledgement_from_before_a_restart_counts_for_nothing() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    (stale,) = deliver(ledger, 10)
    ledger.clear()
    (fresh,) = deliver(ledger, 10)
    assert not ledger.acknowledge(stale)
    assert not ledger.is_live(stale)
    assert ledger.committable("t") is None
    assert ledger.load("t") == InFlight(1, 10, 100)
    assert ledger.acknowledge(fresh)
    assert not ledger.acknowledge(fresh)


def test_trailing_gap_is_committed_with_the_last_batch() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    (batch,) = deliver(ledger, 10)
    ledger.skip_to("t", 17)
    assert ledger.committable("t") is None
    ledger.acknowledge(batch)
    assert ledger.committable("t") == 17
    ledger.skip_to("t", 19)
    assert ledger.committable("t") == 19


def test_batches_must_come_in_order() -> None:
    ledger: OffsetTracker[str] = OffsetTracker()
    deliver(ledger, 10)
    with pytest.raises(ValueError, match="a batch up to 10 after one up to 10"):
        deliver(ledger, 10)
