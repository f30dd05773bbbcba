"""Partitions merged by append time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka.readers import append_order
from infra.kafka.readers.append_order import in_append_order


class Entry(NamedTuple):
    """A record without a value."""

    topic: str
    partition: int
    offset: int
    timestamp: int


class Log:
    """Partitions in memory, of which compaction has removed some offsets."""

    def __init__(self, times_ms: Mapping[TopicPartition, list[int | None]]) -> None:
        self.times_ms = times_ms
        self.most_records = 0

    async def read(self, window: Mapping[TopicPartition, range]) -> list[Any]:
        self.most_records = max([self.most_records, *(len(offsets) for offsets in window.values())])
        return [
            Entry(tp.topic, tp.partition, offset, at_ms)
            for tp, offsets in window.items()
            for offset in offsets
            if (at_ms := self.times_ms[tp][offset]) is not None
        ]


TIMES = st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=40)


@given(st.lists(TIMES, min_size=1, max_size=4))
async def test_no_record_is_lost_where_a_clock_steps_back(columns: list[list[int | None]]) -> None:
    times_ms = {TopicPartition("t", number): column for number, column in enumerate(columns)}
    records = await _merged(Log(times_ms))
    for tp, column in times_ms.items():
        expected = [offset for offset, at_ms in enumerate(column) if at_ms is not None]
        assert [record.offset for record in records if record.partition == tp.partition] == expected


@given(st.lists(TIMES, min_size=1, max_size=4))
async def test_all_records_come_once_in_order_however_they_are_spread(columns: list[list[int | None]]) -> None:
    times_ms = {TopicPartition("t", number): _ascending(column) for number, column in enumerate(columns)}
    log = Log(times_ms)
    records = await _merged(log)
    assert [record.timestamp for record in records] == sorted(record.timestamp for record in records)
    assert log.most_records <= 3
    for tp, column in times_ms.items():
        expected = [offset for offset, at_ms in enumerate(column) if at_ms is not None]
        assert [record.offset for record in records if record.partition == tp.partition] == expected


async def _merged(log: Log) -> list[Any]:
    """Return all records of a log in append order, read in steps of three."""
    records, window = list[Any](), {tp: range(len(column)) for tp, column in log.times_ms.items()}
    step, append_order._RECORDS = append_order._RECORDS, 3
    try:
        async for some in in_append_order(log, window):  # type: ignore[arg-type]
            assert some
            records += some
    finally:
        append_order._RECORDS = step
    return records


def _ascending(column: list[int | None]) -> list[int | None]:
    times_ms = iter(sorted(at_ms for at_ms in column if at_ms is not None))
    return [None if at_ms is None else next(times_ms) for at_ms in column]
