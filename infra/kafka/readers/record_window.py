"""Windows of records: ranges of offsets of some partitions, read from the end backwards or from the start onwards.

Neither needs a consumer group. A search for something recent reads backwards, and stops where it likes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from infra.erasure.erasure_index import ErasureIndex
from infra.error import OperatorError
from infra.kafka.consumer import READ_COMMITTED, kafka_consumer, started
from infra.kafka.partition import partition_of
from topics import TOPICS, Topic

Window = dict[TopicPartition, range]
"""Offsets by partition."""
OnReadProgress = Callable[[int, int], None]
_FIRST_RECORDS, _MOST_RECORDS = 500, 8_000
"""Records of each partition per step; the steps grow, since a search that goes on is likely to go on for long."""
_TIMEOUT_MS = 500
_PARTITIONS = 24
"""Partitions to read at a time: each takes a fetch of its own, and memory for its records."""
_KEYED_BY_USER = frozenset(topic.name for topic in TOPICS if topic.is_keyed_by_user)


async def offsets_since(consumer: Any, partitions: list[TopicPartition], at_ms: int) -> dict[TopicPartition, int]:
    """Return the offset of the first record of each partition appended at or after `at_ms`, or else its end offset."""
    ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    offsets = await consumer.offsets_for_times(dict.fromkeys(partitions, at_ms))
    return {tp: ends[tp] if offsets.get(tp) is None else offsets[tp].offset for tp in partitions}


class WindowReader:
    """Reads windows of records with one consumer.

    Args:
        consumer: A consumer that has been started, for this reader alone.
        on_progress: Called after each step with the offsets passed, and those of all windows opened so far.
        erasures: The erased users, whose older records are left out; by default all records are read.
    """

    def __init__(
        self,
        consumer: Any,
        *,
        on_progress: OnReadProgress = lambda _count, _total: None,
        erasures: ErasureIndex | None = None,
    ) -> None:
        self._consumer, self._on_progress, self._erasures = consumer, on_progress, erasures
        self._passed_records = self._total = 0

    async def window(
        self, partitions: list[TopicPartition], *, since_ms: int | None = None, until_ms: int | None = None
    ) -> Window:
        """Return the window from an append time to another.

        Args:
            partitions: The partitions.
            since_ms: Append time in ms since the epoch; by default the window begins at the oldest record.
            until_ms: Append time of the first record after the window; by default it ends at the present end.
        """
        self._consumer.assign(partitions)
        if until_ms is None:
            ends = await self._consumer.end_offsets(partitions)
        else:
            ends = await offsets_since(self._consumer, partitions, until_ms)
        if since_ms is None:
            starts = await self._consumer.beginning_offsets(partitions)
        else:
            starts = await offsets_since(self._consumer, partitions, since_ms)
        window = {tp: range(starts[tp], ends[tp]) for tp in partitions}
        self._total += sum(map(len, window.values()))
        return window

    async def backwards(self, window: Window) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the records in steps, the last ones first; within a step each partition is in its order.

        The caller may take partitions out of the window meanwhile.
        """
        size = _FIRST_RECORDS
        while any(window.values()):
            step = {tp: offsets[-size:] for tp, offsets in window.items() if offsets}
            window.update({tp: offsets[: -len(step[tp])] for tp, offsets in window.items() if offsets})
            yield await self.read(step)
            size = min(2 * size, _MOST_RECORDS)

    async def forwards(self, window: Window) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the records in steps, the first ones first; within a step each partition is in its order."""
        size = _FIRST_RECORDS
        while any(window.values()):
            step = {tp: offsets[:size] for tp, offsets in window.items() if offsets}
            window = {tp: offsets[size:] for tp, offsets in window.items()}
            yield await self.read(step)
            size = min(2 * size, _MOST_RECORDS)

    async def whole(self, window: Window) -> AsyncIterator[list[ConsumerRecord]]:
        """Yield the records of many partitions, a bounded number of partitions at a time, each in its order."""
        partitions = [tp for tp, offsets in window.items() if offsets]
        for start in range(0, len(partitions), _PARTITIONS):
            async for records in self.forwards({tp: window[tp] for tp in partitions[start : start + _PARTITIONS]}):
                yield records

    async def newest(self, topic: Topic, key: bytes, *, since_ms: int | None = None) -> ConsumerRecord | None:
        """Return the newest record of a key, which may be a deletion; None without any.

        Args:
            topic: The topic.
            key: The key, which tells the partition.
            since_ms: Append time in ms since the epoch from which to search; by default from the oldest record.
        """
        async for records in self.backwards(await self.window([partition_of_key(topic, key)], since_ms=since_ms)):
            for record in reversed(records):
                if record.key == key:
                    return record
        return None

    async def read(self, window: Mapping[TopicPartition, range]) -> list[ConsumerRecord]:
        """Return the records of a window; compacted and aborted ones are missing."""
        self._consumer.assign(list(window))
        for tp, offsets in window.items():
            self._consumer.seek(tp, offsets.start)
        records: list[ConsumerRecord] = []
        while unread := [tp for tp, offsets in window.items() if await self._consumer.position(tp) < offsets.stop]:
            for tp, batch in (await self._consumer.getmany(*unread, timeout_ms=_TIMEOUT_MS)).items():
                records += [record for record in batch if record.offset < window[tp].stop]
        self._passed_records += sum(map(len, window.values()))
        self._on_progress(self._passed_records, self._total)
        return records if self._erasures is None else [one for one in records if not self._is_erased(one)]

    def _is_erased(self, record: ConsumerRecord) -> bool:
        return (
            self._erasures is not None
            and record.topic in _KEYED_BY_USER
            and self._erasures.covers(record.key, record.timestamp)
        )


def partition_of_key(topic: Topic, key: bytes) -> TopicPartition:
    """Return the partition to which Java's partitioner sends a key."""
    return TopicPartition(topic.name, partition_of(key, topic.partitions))


@asynccontextmanager
async def window_reader(
    bootstrap_servers: str,
    *,
    on_progress: OnReadProgress = lambda _count, _total: None,
    erasures: ErasureIndex | None = None,
    isolation_level: str = READ_COMMITTED,
) -> AsyncIterator[WindowReader]:
    """Open a reader of windows.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        on_progress: See `WindowReader`.
        erasures: See `WindowReader`.
        isolation_level: `READ_UNCOMMITTED` also reads records of open and aborted transactions.

    Raises:
        OperatorError: no broker answers.
    """
    try:
        async with started(kafka_consumer(bootstrap_servers, isolation_level=isolation_level)) as consumer:
            yield WindowReader(consumer, on_progress=on_progress, erasures=erasures)
    except KafkaError as error:
        raise OperatorError(
            f"Kafka at {bootstrap_servers} does not answer: {error}",
            "Start it (`millrace up` runs one), or set KAFKA_BOOTSTRAP_SERVERS to one that runs.",
        ) from error
