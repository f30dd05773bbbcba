"""Worker embeddings: the item embeddings of a worker, learned for its partitions and read for all others.

The topic is their changelog. Each worker reads all of it when partitions are assigned to it, and from then on what the
other workers publish. An example that was learned shortly before a crash may be learned twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka.consumer import kafka_consumer
from models.factorization.item_embeddings import EmbeddingConfig, ItemEmbeddings
from models.vocabulary import Vocabulary
from streams.core.item.embedding_record import item_embedding, stored_vector
from streams.runtime.decode import Decoder
from streams.runtime.role import Role
from topics.topic import ITEM_EMBEDDINGS

_MAX_RECORDS = 1_000


class WorkerEmbeddings:
    """The embeddings of all items, of which a worker learns its own.

    Args:
        role: The running role.
        items: The numbers of items.
    """

    def __init__(self, role: Role, items: Vocabulary) -> None:
        self._role, self._items = role, items
        self._decoder: Decoder = role.decoder(ITEM_EMBEDDINGS, tombstones=True)
        self._consumer: AIOKafkaConsumer | None = None
        self.table = ItemEmbeddings(items, EmbeddingConfig(dimensions=role.settings.embedding_dim))

    async def start(self, own_partitions: Collection[int]) -> None:
        """Load what is published, and follow the partitions of other workers from then on.

        Args:
            own_partitions: The partitions of the items that are learned here.
        """
        async with self._role.history(ITEM_EMBEDDINGS) as history:
            async for record, value in history.records():
                self._apply(record, value, is_own=record.partition in own_partitions)
            ends = {tp: end for tp, end in history.ends.items() if tp.partition not in own_partitions}
        await self.stop()
        if ends:
            self._consumer = kafka_consumer(self._role.settings.kafka_bootstrap_servers)
            await self._consumer.start()
            self._consumer.assign(list(ends))
            for tp, offset in ends.items():
                self._consumer.seek(tp, offset)

    async def learn(self) -> None:
        """Learn the examples added so far, with what other workers have published by now."""
        if self._consumer is not None:
            batches: dict[TopicPartition, list[Any]] = await self._consumer.getmany(max_records=_MAX_RECORDS)
            for records in batches.values():
                for record, value in await self._decoder.decode(records):
                    self._apply(record, value, is_own=False)
        if self.table.waiting:
            await asyncio.to_thread(self.table.learn)

    def publish(self, most: int, *, watermark: int) -> None:
        """Publish changed embeddings, the oldest changes first.

        Args:
            most: Number of embeddings, at most.
            watermark: Time of the newest event learned from, in ms since the epoch.
        """
        for item in self.table.drain(most):
            record = item_embedding(self._items.names[item], item, self.table, watermark=watermark)
            self._role.publisher.produce(ITEM_EMBEDDINGS, record)

    async def stop(self) -> None:
        """Close the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def _apply(self, record: Any, value: Any, *, is_own: bool) -> None:
        """Take over a published embedding; one of another space is ignored."""
        if value is None:
            self.table.remove(self._items.get((record.key or b"").decode(errors="replace")))
        elif (vector := stored_vector(value, self.table.config.dimensions)) is not None:
            item = self._items.add(value.item_id)
            self.table.put(item, vector, value.bias, event_count=value.event_count, is_own=is_own)
