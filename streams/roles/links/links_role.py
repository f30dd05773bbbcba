"""Links role: link updates → item neighbors, item embeddings. The partitions are shared among all workers of the role.

    assigned   the rows of the partition are read from item-neighbors, their changelog; then its updates since the
               committed offset, which each row skips as far as it includes them
    live       updates change rows in memory; changed rows are published each second, then the offset is committed
               whose predecessors are all in published rows
    revoked    the rows are dropped

The item embeddings of the partitions learn from the same updates: see `streams.roles.links.worker_embeddings`.

See `streams.core.item.link_rows` for what makes the rows independent of crashes and of the worker that learns them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from infra.kafka.admin.provision import consumer_group
from infra.kafka.consumer import group_commits, kafka_consumer, started
from infra.settings import Settings
from models.neighbours.sparse_links import SparseLinks
from models.vocabulary import Vocabulary
from streams.core.item.link_rows import LinkRows, Positions
from streams.roles.links.row_publisher import RowPublisher
from streams.roles.links.worker_embeddings import WorkerEmbeddings
from streams.runtime.decode import Decoder
from streams.runtime.role import Role, open_role
from topics.topic import ITEM_NEIGHBORS, LINK_UPDATES, PARTITIONS

_PUBLISH_EVERY_S = 1.0
_LINKS, _LINKS_IDLE = 20_000, 400_000
"""Links of all partitions published per second under load, and when idle: one costs every feed worker 0.9 µs."""
_EMBEDDINGS, _EMBEDDINGS_IDLE = 2_000, 20_000
"""Embeddings published per second under load, and when idle."""
_MAX_RECORDS = 500
_MIN_BYTES, _WAIT_MS = 64 << 10, 100
_RECORDS_AT_A_TIME = 10
"""Records applied before other tasks have a turn."""
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Partition:
    """An assigned partition."""

    rows: LinkRows
    publisher: RowPublisher
    committed_offset: int | None = None
    """The offset committed last."""
    is_busy: bool = False
    """Whether any record arrived since rows were last published."""
    allowance: float = 0.0
    """Links that may be published; negative after a row that was larger."""


class LinksConsumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """Learns the links of the partitions that the consumer group assigns."""

    def __init__(self, role: Role) -> None:
        SparseLinks(2)  # loads compiled loops, which takes seconds that a member of the group does not have
        self._role, self._settings = role, role.settings
        self._decoder = Decoder(LINK_UPDATES, role.registry, role.dead_letters, stage="links")
        self._consumer: AIOKafkaConsumer = kafka_consumer(
            role.settings.kafka_bootstrap_servers,
            group_id=consumer_group(role.name),
            auto_offset_reset="earliest",
            fetch_min_bytes=_MIN_BYTES,
            fetch_max_wait_ms=_WAIT_MS,
        )
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._items = Vocabulary()
        """Numbers of the items in all partitions since the last rebalance."""
        self._embeddings = WorkerEmbeddings(role, self._items)
        self._lock = asyncio.Lock()
        """Locked while the partitions are worked on; a rebalance waits for it."""
        self._assignment: set[TopicPartition] = set()
        self._generation = 0
        """Number of rebalances."""
        self._published_s = 0.0

    async def run(self) -> None:
        """Learn until cancelled."""
        self._consumer.subscribe([LINK_UPDATES.name], listener=self)
        try:
            async with started(self._consumer):
                while True:
                    await self._work()
        finally:
            await self._drop()

    async def on_partitions_revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Drop all rows: other workers may write them now."""
        self._generation += 1
        self._assignment.clear()
        async with self._lock:
            await self._drop()

    async def on_partitions_assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Note the partitions, which the next turn takes over."""
        self._assignment = set(partitions)

    def describe(self) -> dict[str, Any]:
        """Return the figures for the heartbeat."""
        partitions = self._partitions.items()
        rows = [partition.rows for _, partition in partitions]
        return {
            "positions": {f"{tp.topic}-{tp.partition}": partition.rows.next_offset for tp, partition in partitions},
            "waiting": sum(one.changed_count for one in rows) + self._embeddings.table.changed_count,
            "trimmed": {
                "links": sum(one.omitted_links for one in rows),
                "row_links": sum(one.dropped_links for one in rows),
            },
        }

    async def _work(self) -> None:
        """Take over new partitions, learn their next records, and publish what is due."""
        async with self._lock:
            if new := self._assignment - self._partitions.keys():
                await self._take_over(new)
        generation = self._generation
        batches = await self._consumer.getmany(*self._partitions, timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
        async with self._lock:
            if generation != self._generation:
                return
            for tp, records in batches.items():
                if tp in self._partitions:
                    await self._apply(self._partitions[tp], records)
            await self._embeddings.learn()
            if time.monotonic() - self._published_s >= _PUBLISH_EVERY_S:
                await self._publish()

    async def _take_over(self, assignment: Iterable[TopicPartition]) -> None:
        """Load the rows of partitions, and seek to their checkpoints, unless they are revoked meanwhile."""
        generation = self._generation
        partitions = {
            tp: _Partition(
                LinkRows(
                    self._items,
                    half_life_days=self._settings.cooccurrence_half_life_days,
                    embeddings=self._embeddings.table,
                ),
                RowPublisher(self._role, tp.partition),
            )
            for tp in assignment
        }
        try:
            await asyncio.gather(*(partition.publisher.start() for partition in partitions.values()))
            is_complete = await self._load({tp.partition: one.rows for tp, one in partitions.items()})
            if is_complete and generation == self._generation:
                await self._embeddings.start([tp.partition for tp in (*self._partitions, *partitions)])
            if is_complete and generation == self._generation:
                await self._seek(partitions)
        finally:
            for tp in partitions.keys() - self._partitions.keys():
                await partitions[tp].publisher.stop()

    async def _load(self, rows: dict[int, LinkRows]) -> bool:
        """Load published rows; return False if a rebalance makes them useless.

        Args:
            rows: The rows to fill, by partition.
        """
        generation = self._generation
        async with self._role.history(ITEM_NEIGHBORS, partitions=rows) as history:
            async for record, row in history.records():
                if generation != self._generation:
                    return False
                if row is None:
                    rows[record.partition].unload((record.key or b"").decode(errors="replace"))
                else:
                    rows[record.partition].load(row)
        return True

    async def _seek(self, partitions: dict[TopicPartition, _Partition]) -> None:
        """Continue from the committed offsets; from the beginning where there is none, or no such record any more."""
        starts = await self._consumer.beginning_offsets(list(partitions))
        ends = await self._consumer.end_offsets(list(partitions))
        commits = await group_commits(self._settings.kafka_bootstrap_servers, consumer_group(self._role.name))
        for tp, partition in partitions.items():
            commit = commits.get(tp)
            if commit is None or commit.offset > ends[tp]:
                offset, positions = starts[tp], Positions()
            else:
                offset, positions = max(commit.offset, starts[tp]), _positions(tp, commit)
            if tp not in self._assignment:
                return
            self._consumer.seek(tp, offset)
            partition.rows.start(offset, positions, end=ends[tp])
            self._partitions[tp] = partition

    async def _apply(self, partition: _Partition, records: list[ConsumerRecord]) -> None:
        """Apply records; an unusable one becomes a dead letter."""
        partition.is_busy = True
        for number, (record, updates) in enumerate(await self._decoder.decode(records), 1):
            try:
                partition.rows.apply(record.offset, updates)
            except Exception as error:
                self._role.dead_letters.put(record, error, stage="links.apply")
            if number % _RECORDS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        partition.rows.skip_to(records[-1].offset + 1)

    async def _publish(self) -> None:
        """Publish changed rows, and commit."""
        now_s = time.monotonic()
        elapsed_s, self._published_s = min(now_s - self._published_s, 2 * _PUBLISH_EVERY_S), now_s
        is_busy = any(partition.is_busy for partition in self._partitions.values())
        for partition in self._partitions.values():
            links_per_s = (_LINKS if partition.is_busy else _LINKS_IDLE) / PARTITIONS
            partition.is_busy = False
            partition.allowance = min(partition.allowance, 0.0) + links_per_s * elapsed_s
        self._publish_embeddings(_EMBEDDINGS if is_busy else _EMBEDDINGS_IDLE, elapsed_s)
        await asyncio.gather(*(_publish_rows(partition) for partition in self._partitions.values()))
        await self._role.publisher.flush()  # embeddings and dead letters
        checkpoints = {tp: partition.rows.checkpoint() for tp, partition in self._partitions.items()}
        new_offsets = {
            tp: (offset, msgspec.json.encode(positions).decode())
            for tp, (offset, positions) in checkpoints.items()
            if offset != self._partitions[tp].committed_offset
        }
        if not new_offsets:
            return
        try:
            await self._consumer.commit(new_offsets)
        except (CommitFailedError, IllegalStateError) as error:
            _LOG.info("the group has rebalanced; updates are read again: %s", error)
            return
        for tp, (offset, _) in new_offsets.items():
            self._partitions[tp].committed_offset = offset

    def _publish_embeddings(self, per_s: float, elapsed_s: float) -> None:
        """Publish changed embeddings."""
        watermark = max((partition.rows.watermark for partition in self._partitions.values()), default=0)
        self._embeddings.publish(int(per_s * elapsed_s), watermark=watermark)

    async def _drop(self) -> None:
        """Drop all partitions."""
        partitions, self._partitions, self._items = self._partitions, {}, Vocabulary()
        embeddings, self._embeddings = self._embeddings, WorkerEmbeddings(self._role, self._items)
        await embeddings.stop()
        for partition in partitions.values():
            await partition.publisher.stop()


async def _publish_rows(partition: _Partition) -> None:
    """Publish rows within the allowance of a partition."""
    if partition.allowance <= 0.0:
        return
    count = 0

    def counted() -> Iterable[Any]:
        nonlocal count
        for row in partition.rows.rows(int(partition.allowance)):
            count += 1 + len(row.neighbors)
            yield row

    await partition.publisher.publish(counted())
    partition.allowance -= count


def _positions(tp: TopicPartition, commit: OffsetAndMetadata) -> Positions:
    """Return the positions in the metadata of a commit; none where an operator has committed an offset."""
    if not commit.metadata:
        return {}
    try:
        return msgspec.json.decode(commit.metadata, type=Positions)
    except msgspec.MsgspecError as error:
        _LOG.warning("the positions of %s are unusable: %s", tp, error)
        return {}


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("links", settings) as role:
        consumer = LinksConsumer(role)
        await role.run(stop, consumer.run(), describe=consumer.describe)
