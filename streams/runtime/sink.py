"""Sink: topics → a store, batch by batch, at least once: offsets are committed after the batch is written."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from infra import clock
from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import kafka_consumer, positions, started
from infra.kafka.readers.record_window import offsets_since
from infra.redis.connection import StoreError
from infra.redis.projection import LOOK_S, Projection, partition_name
from streams.runtime.role import Role
from topics import Topic
from topics.topic import ERASURE_REQUESTS

_MAX_RECORDS = 5_000
_WAIT_MS = 500
_LOG = logging.getLogger(__name__)

Write = Callable[[str, Sequence[ConsumerRecord]], Awaitable[None]]
"""Writes a batch of a topic, however long it takes."""


class Rewind:
    """Seeks a consumer back in the partitions that its store has lost, and notes the partitions that the store holds.

    The records are written again in their order, so the store ends in the same state as before. Erasure requests are
    never read again: the records that they concern are skipped.
    """

    def __init__(
        self,
        projection: Projection,
        *,
        ages_ms: Mapping[Topic, int] | None = None,
        after: Mapping[Topic, Topic] | None = None,
    ) -> None:
        """Create a rewind.

        Args:
            projection: Tracks the partitions that the store holds.
            ages_ms: Largest age of the records to read by topic, in ms; other topics are read from their beginning.
            after: Topics whose records need another topic in the store; they are read again after that topic.
        """
        self._projection = projection
        self._ages_ms = {topic.name: age_ms for topic, age_ms in (ages_ms or {}).items()}
        self._after = dict(after or {})
        self._ends: dict[TopicPartition, int] = {}
        """The partitions being read again, with their end offsets at the start of that."""
        self._last_check_s = -math.inf

    async def check_assignment(self, consumer: Any) -> None:
        """Seek back in lost partitions, at most once a second; do nothing while the store does not answer."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._last_check_s < LOOK_S:
            return
        self._last_check_s = now_s
        try:
            await self._seek(consumer)
        except (StoreError, KafkaError) as error:
            _LOG.warning("the data lost by the store cannot be determined: %s", error)

    async def record_positions(self, consumer: Any) -> None:
        """Note the partitions that are completely written; call it after all fetched records are written."""
        try:
            current_positions = {tp: await consumer.position(tp) for tp in self._ends.keys() & consumer.assignment()}
            complete = [tp for tp, position in current_positions.items() if position >= self._ends[tp]]
            await self._projection.complete([_name(tp) for tp in complete])
        except (StoreError, KafkaError) as error:
            _LOG.warning("the data held by the store cannot be recorded: %s", error)
            return
        for tp in complete:
            del self._ends[tp]

    async def _seek(self, consumer: Any) -> None:
        assignment = consumer.assignment()
        self._ends = {tp: end for tp, end in self._ends.items() if tp in assignment}
        names = {_name(tp): tp for tp in assignment if tp not in self._ends and tp.topic != ERASURE_REQUESTS.name}
        lost_partitions = [names[name] for name in await self._projection.missing(names)]
        for topic, leader in self._after.items():
            leader_names = [partition_name(leader, number) for number in range(leader.partitions)]
            if any(tp.topic == topic.name for tp in lost_partitions) and await self._projection.missing(leader_names):
                lost_partitions = [tp for tp in lost_partitions if tp.topic != topic.name]
        if not lost_partitions:
            return
        starts = await self._starts(consumer, lost_partitions)
        ends = await consumer.end_offsets(lost_partitions)
        await self._projection.begin([_name(tp) for tp in lost_partitions])
        for tp in set(lost_partitions) & consumer.assignment():
            consumer.seek(tp, starts[tp])
            self._ends[tp] = ends[tp]
        _LOG.info("%d partitions are read again to refill the store", len(lost_partitions))

    async def _starts(self, consumer: Any, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
        for topic, age_ms in self._ages_ms.items():
            young = [tp for tp in partitions if tp.topic == topic]
            starts |= await offsets_since(consumer, young, clock.now_ms() - age_ms) if young else {}
        return starts


def _name(tp: TopicPartition) -> str:
    return partition_name(tp.topic, tp.partition)


async def run_sink(
    role: Role, topics: Iterable[Topic], write: Write, *, group: str = "", rewind: Rewind | None = None
) -> None:
    """Read topics as a consumer group until cancelled.

    A batch interrupted half-way is read again: its offsets are not committed.

    Args:
        role: The role that reads.
        topics: The topics to read.
        write: Writes a batch.
        group: Names the consumer group; "" is that of the role. Two sinks in a group would rebalance each other.
        rewind: Reads the partitions again that the store has lost.
    """
    names = (topic.name for topic in topics)
    servers, group_id = role.settings.kafka_bootstrap_servers, consumer_group(group or role.name)
    consumer = kafka_consumer(servers, *names, group_id=group_id, auto_offset_reset="earliest")
    committed_positions: dict[TopicPartition, int] = {}
    async with started(consumer):
        while True:
            if rewind is not None:
                await rewind.check_assignment(consumer)
            batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
            end_positions = await positions(consumer)
            for tp, records in batches.items():
                await write(tp.topic, records)
            if rewind is not None:
                await rewind.record_positions(consumer)
            committed_positions = await _commit(consumer, end_positions, committed_positions)


async def _commit(
    consumer: AIOKafkaConsumer,
    reached_positions: dict[TopicPartition, int],
    committed_positions: dict[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Commit the positions that are new, and return the committed ones."""
    new_positions = {
        tp: position for tp, position in reached_positions.items() if committed_positions.get(tp) != position
    }
    if not new_positions:
        return committed_positions
    try:
        await consumer.commit(new_positions)
    except (CommitFailedError, IllegalStateError) as error:
        _LOG.info("the group has rebalanced; written records are read again: %s", error)
        return committed_positions
    return reached_positions
