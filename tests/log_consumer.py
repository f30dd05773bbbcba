"""A consumer of the broker in memory, as far as windows of records are read by one."""

from __future__ import annotations

from bisect import bisect_left

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndTimestamp

from tests.broker import Broker, Record

MOST_RECORDS = 3
"""Records per fetch."""


class LogConsumer:
    """Reads the logs of a broker; compacted offsets are missing from them, as from Kafka's."""

    def __init__(self, broker: Broker, *, compacted_positions: frozenset[tuple[str, int, int]] = frozenset()) -> None:
        self._broker, self._compacted_positions = broker, compacted_positions
        self._positions: dict[TopicPartition, int] = {}
        self.fetched_positions: list[tuple[str, int, int]] = []
        """What was fetched, as topic, partition and offset."""

    def assign(self, partitions: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self._broker.logs[tp.topic, tp.partition]) for tp in partitions}

    async def offsets_for_times(
        self, times_ms: dict[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        records: dict[TopicPartition, OffsetAndTimestamp | None] = {}
        for tp, at_ms in times_ms.items():
            log = self._broker.logs[tp.topic, tp.partition]
            offset = bisect_left(log, at_ms, key=lambda record: record.timestamp)
            records[tp] = OffsetAndTimestamp(offset, log[offset].timestamp) if offset < len(log) else None
        return records

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        batches = {}
        for tp in partitions:
            start = self._positions[tp]
            records = self._broker.logs[tp.topic, tp.partition][start : start + MOST_RECORDS]
            self._positions[tp] = start + len(records)
            batches[tp] = [
                one for one in records if (tp.topic, tp.partition, one.offset) not in self._compacted_positions
            ]
            self.fetched_positions += [(tp.topic, tp.partition, record.offset) for record in batches[tp]]
        return batches
