"""Topic history: a topic from its beginning to its present end, for readers that need all of it first."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.readers.record_window import offsets_since
from infra.kafka.registry import Registry
from streams.core.position import Position
from streams.runtime.decode import Decoder
from topics.topic import Topic

_MAX_RECORDS = 1_000
_TIMEOUT_MS = 500


class TopicHistory:
    """The records of a topic at the time it was opened."""

    def __init__(self, consumer: Any, topic: Topic, decoder: Decoder, ends: dict[TopicPartition, int]) -> None:
        self._consumer, self._topic, self._decoder = consumer, topic, decoder
        self.starts: dict[TopicPartition, int] = {}
        """The offset of the first record of each partition."""
        self.ends = ends
        """The offset past the last record of each partition."""
        self.total = 0
        """Number of offsets; records may be fewer because of compaction."""
        self._waiting: dict[TopicPartition, deque[tuple[Any, Any]]] = {tp: deque() for tp in ends}

    async def newest(self) -> dict[str, tuple[Position, Any]]:
        """Return the newest value of each key that is not deleted."""
        newest: dict[str, tuple[Position, Any]] = {}
        for tp in self.ends:
            async for record, value in self._of(tp):
                key = (record.key or b"").decode(errors="replace")
                if value is None:
                    newest.pop(key, None)
                else:
                    newest[key] = Position.of(record), value
        return newest

    async def values(self) -> AsyncIterator[Any]:
        """Yield all values, partition by partition."""
        for tp in self.ends:
            async for _, value in self._of(tp):
                if value is not None:
                    yield value

    async def records(self) -> AsyncIterator[tuple[Any, Any]]:
        """Yield all records with their values, None for a deletion, partition by partition."""
        for tp in self.ends:
            async for record, value in self._of(tp):
                yield record, value

    async def chunks(self, max_records: int) -> AsyncIterator[list[tuple[bytes, Any]]]:
        """Yield the keys and values of all records, None for a deletion, in the order of each partition.

        Args:
            max_records: Number of records per chunk.
        """
        chunk: list[tuple[bytes, Any]] = []
        for tp in self.ends:
            async for record, value in self._of(tp):
                chunk.append((record.key or b"", value))
                if len(chunk) >= max_records:
                    yield chunk
                    chunk = []
                    await asyncio.sleep(0)
        if chunk:
            yield chunk

    async def merged(self) -> AsyncIterator[tuple[Position, Any]]:
        """Yield all events in a merged order: always the earliest of the next events of all partitions.

        The order depends on the topic alone: by (occurred_at, event_id) between partitions, by offset within one.
        """
        streams = {tp: self._of(tp) for tp in self.ends}
        heads: list[tuple[int, str, int, Any, Any, TopicPartition]] = []

        async def advance(tp: TopicPartition) -> None:
            async for record, value in streams[tp]:
                if value is not None:
                    heapq.heappush(heads, (value.occurred_at, value.event_id, tp.partition, record, value, tp))
                    return

        for tp in streams:
            await advance(tp)
        while heads:
            _, _, _, record, value, tp = heads[0]
            yield Position.of(record), value
            heapq.heappop(heads)
            await advance(tp)

    async def _of(self, tp: TopicPartition) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the usable records of a partition with their values; None for a deletion."""
        waiting = self._waiting[tp]
        while True:
            while waiting:
                yield waiting.popleft()
            if await self._consumer.position(tp) >= self.ends[tp]:
                return
            batches = await self._consumer.getmany(tp, timeout_ms=_TIMEOUT_MS, max_records=_MAX_RECORDS)
            records = [record for record in batches.get(tp, ()) if record.offset < self.ends[tp]]
            values = {
                record.offset: value
                for record, value in await self._decoder.decode(one for one in records if one.value is not None)
            }
            waiting.extend(
                (record, values.get(record.offset))
                for record in records
                if record.value is None or record.offset in values
            )


@asynccontextmanager
async def topic_history(
    bootstrap_servers: str,
    registry: Registry,
    topic: Topic,
    *,
    since_ms: int | None = None,
    partitions: Collection[int] | None = None,
    starts: Mapping[TopicPartition, int] | None = None,
    erasures: ErasureIndex | None = None,
) -> AsyncIterator[TopicHistory]:
    """Open a topic, or some of its partitions; unusable records are skipped.

    Args:
        bootstrap_servers: The addresses of the brokers.
        registry: The schema registry.
        topic: The topic to read.
        since_ms: The append time to start from, in ms since the epoch; the beginning of the topic by default.
        partitions: The numbers of the partitions; all by default.
        starts: Offsets to start from; the beginning of other partitions, and of those that have lost these records.
        erasures: The erased users, whose older records are skipped.
    """
    tps = [tp for tp in partitions_of(topic) if partitions is None or tp.partition in partitions]
    async with started(kafka_consumer(bootstrap_servers, auto_offset_reset="earliest")) as consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        if since_ms is None:
            firsts = await consumer.beginning_offsets(tps)
        else:
            firsts = await offsets_since(consumer, tps, since_ms)
        decoder = Decoder(topic, registry, None, stage="history", erasures=erasures)
        history = TopicHistory(consumer, topic, decoder, ends)
        history.starts = {tp: max(firsts[tp], (starts or {}).get(tp, 0)) for tp in tps}
        for tp, offset in history.starts.items():
            consumer.seek(tp, offset)
        history.total = sum(ends[tp] - offset for tp, offset in history.starts.items())
        yield history


def merged(partitions: Iterable[Iterable[tuple[Position, Any]]]) -> Iterator[tuple[Position, Any]]:
    """Yield the events of some partitions in the order of `TopicHistory.merged`; a user's events keep their order."""
    return heapq.merge(*partitions, key=lambda pair: (pair[1].occurred_at, pair[1].event_id))
