"""Global tables: compacted topics that every worker reads in full into its catalog snapshot and its blender.

They are like the GlobalKTable of Kafka Streams: items, item stats, item neighbors, item embeddings, vectors and
versions of the encoder, item weights, model versions, experiments.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra import clock
from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.registry import Registry
from infra.settings import Settings
from models.blend.blender import Blender
from schemas.types import Item, ItemWeights, ModelVersion
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from streams.runtime.state.model_restore import restore_and_log
from topics.topic import (
    ENCODER_VECTORS,
    ENCODER_VERSIONS,
    EXPERIMENTS,
    GLOBAL_TABLES,
    ITEM_EMBEDDINGS,
    ITEM_NEIGHBORS,
    ITEM_STATS,
    ITEM_WEIGHTS,
    ITEMS,
    MODEL_VERSIONS,
)

_WAIT_MS = 200
_MIN_BYTES = 64 << 10
_MAX_RECORDS = 1_000


class GlobalTables:
    """Reads the topics from their beginning, until cancelled. `ready` is set once the catalog snapshot has caught up.

    It has no consumer group: each worker needs all records, and after a restart all of them again.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        catalog: CatalogSnapshot,
        blender: Blender,
        registry: Registry,
        dead_letters: DeadLetterQueue | None,
        *,
        experiments: ExperimentParams,
        on_new_item: Callable[[Item], object] = lambda _: None,
    ) -> None:
        """Create the reader.

        Args:
            bootstrap_servers: Brokers, as comma-separated host:port.
            catalog: The catalog snapshot to fill.
            blender: The blender that takes over the weights of the model in service.
            registry: The schema registry.
            dead_letters: Receives unusable records; None skips them.
            experiments: Takes the definitions of experiments.
            on_new_item: Called with each item that enters the catalog once the snapshot has caught up.
        """
        self._bootstrap_servers = bootstrap_servers
        self._catalog, self._blender, self._dead_letters = catalog, blender, dead_letters
        self._decoders = {
            # The catalog agent sends unusable items to the dead-letter topic.
            topic.name: Decoder(topic, registry, None if topic is ITEMS else dead_letters, stage="broadcast")
            for topic in GLOBAL_TABLES
        }
        self._on_new_item = on_new_item
        self._apply: dict[str, Callable[[Any], object]] = {
            ITEMS.name: self._apply_item,
            ITEM_STATS.name: catalog.apply_stats,
            ITEM_NEIGHBORS.name: catalog.apply_neighbors,
            ITEM_EMBEDDINGS.name: catalog.apply_embedding,
            ENCODER_VECTORS.name: catalog.apply_encoder_vector,
            ENCODER_VERSIONS.name: catalog.encoder.take_version,
            ITEM_WEIGHTS.name: catalog.apply_weights,
            MODEL_VERSIONS.name: self._restore,
            EXPERIMENTS.name: experiments.put,
        }
        self._forget: dict[str, Callable[[str], None]] = {
            ITEMS.name: catalog.remove_item,
            ITEM_EMBEDDINGS.name: catalog.remove_embedding,
            ITEM_WEIGHTS.name: lambda item_id: catalog.apply_weights(_no_weights(item_id)),
            EXPERIMENTS.name: experiments.table.remove,
        }
        """Handlers of deletions, for the topics that have any."""
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.ready = asyncio.Event()
        self.ready_at = 0
        self.model_version = ""
        """The version of the weights in the blender; empty before the first one."""

    @property
    def catch_up(self) -> tuple[int, int]:
        """Return the offsets passed, and those to pass until `ready`; both 0 before the topics are open."""
        return sum(min(self._positions.get(tp, 0), end) for tp, end in self._ends.items()), sum(self._ends.values())

    def progress(self) -> dict[str, int]:
        """Return the next offsets, by TOPIC-PARTITION."""
        return {f"{tp.topic}-{tp.partition}": offset for tp, offset in self._positions.items()}

    async def run(self) -> None:
        """Follow the topics until cancelled."""
        consumer = kafka_consumer(
            self._bootstrap_servers,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_WAIT_MS // 2,
            fetch_min_bytes=_MIN_BYTES,
        )
        partitions = partitions_of(*GLOBAL_TABLES)
        async with started(consumer):
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            self._ends = await consumer.end_offsets(partitions)
            while True:
                await self._follow(consumer, partitions)
                if not self.ready.is_set() and all(self._positions[tp] >= self._ends[tp] for tp in partitions):
                    self._catalog.refresh()
                    self.ready_at = clock.now_ms()
                    self.ready.set()

    async def _follow(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        batches = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MAX_RECORDS)
        for tp, records in batches.items():
            newest = {record.key: record for record in records}.values()
            for record in newest:
                if record.value is None and record.key and tp.topic in self._forget:
                    self._forget[tp.topic](record.key.decode(errors="replace"))
            usable = await self._decoders[tp.topic].decode(record for record in newest if record.value is not None)
            for record, value in usable:
                try:
                    self._apply[tp.topic](value)
                except Exception as error:
                    if self._dead_letters is not None:
                        self._dead_letters.put(record, error, stage="broadcast.apply")
        for tp in partitions:
            self._positions[tp] = await consumer.position(tp)

    def _apply_item(self, item: Item) -> None:
        is_new = self.ready.is_set() and self._catalog.labels(item.item_id) is None
        self._catalog.apply_item(item)
        if is_new:
            self._on_new_item(item)

    def _restore(self, version: ModelVersion) -> None:
        if restore_and_log(self._blender, version):
            self.model_version = version.version
            self._catalog.repeated_categories = frozenset(version.repeated_categories)


def new_catalog(settings: Settings) -> CatalogSnapshot:
    """Return an empty catalog snapshot, for the links, embeddings and network of the settings."""
    return CatalogSnapshot(
        cooccurrence_half_life_days=settings.cooccurrence_half_life_days,
        embedding_dim=settings.embedding_dim,
        encoder=settings.encoder,
    )


def _no_weights(item_id: str) -> ItemWeights:
    return ItemWeights(item_id=item_id, model_version="", others=[], weights=[])
