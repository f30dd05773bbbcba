"""Global tables: compacted topics that every worker reads in full into its catalog snapshot and its blender.

They are like the GlobalKTable of Kafka Streams: items, item stats, item neighbors, item weights, model versions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra import clock
from infra.kafka.consumer import kafka_consumer
from infra.kafka.registry import Registry
from models.blend.blender import Blender
from schemas.types import ItemWeights, ModelVersion
from streams.core.ranking.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.model_state import restore, unmatched
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from topics.topic import GLOBAL_TABLES, ITEM_NEIGHBORS, ITEM_STATS, ITEM_WEIGHTS, ITEMS, MODEL_VERSIONS

_WAIT_MS = 200
_MIN_BYTES = 64 << 10
_MOST_RECORDS = 1_000
_LOG = logging.getLogger(__name__)


class GlobalTables:
    """Reads the topics from their beginning, until cancelled. `ready` is set once the catalog snapshot has caught up.

    It has no consumer group: each worker needs all records, and after a restart all of them again.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        view: CatalogSnapshot,
        blender: Blender,
        registry: Registry,
        quarantine: DeadLetterQueue,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._view, self._quarantine = view, quarantine
        self._decoders = {
            # The catalog agent sends unusable items to the dead-letter topic.
            topic.name: Decoder(topic, registry, None if topic is ITEMS else quarantine, stage="broadcast")
            for topic in GLOBAL_TABLES
        }
        self._apply: dict[str, Callable[[Any], object]] = {
            ITEMS.name: view.apply_item,
            ITEM_STATS.name: view.apply_stats,
            ITEM_NEIGHBORS.name: view.apply_neighbors,
            ITEM_WEIGHTS.name: view.apply_weights,
            MODEL_VERSIONS.name: lambda version: restore_and_log(blender, version),
        }
        self._forget: dict[str, Callable[[str], None]] = {
            ITEMS.name: view.remove_item,
            ITEM_WEIGHTS.name: lambda item_id: view.apply_weights(_no_weights(item_id)),
        }
        """Handlers of deletions, for the topics that have any."""
        self._positions: dict[TopicPartition, int] = {}
        self.ready = asyncio.Event()
        self.ready_at = 0

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
        await consumer.start()
        try:
            partitions = [
                TopicPartition(topic.name, number) for topic in GLOBAL_TABLES for number in range(topic.partitions)
            ]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while True:
                await self._follow(consumer, partitions)
                if not self.ready.is_set() and all(self._positions[tp] >= ends[tp] for tp in partitions):
                    self._view.refresh()
                    self.ready_at = clock.now_ms()
                    self.ready.set()
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        fetched = await consumer.getmany(timeout_ms=_WAIT_MS, max_records=_MOST_RECORDS)
        for tp, records in fetched.items():
            newest = {record.key: record for record in records}.values()
            for record in newest:
                if record.value is None and record.key and tp.topic in self._forget:
                    self._forget[tp.topic](record.key.decode(errors="replace"))
            usable = await self._decoders[tp.topic].decode(record for record in newest if record.value is not None)
            for record, value in usable:
                try:
                    self._apply[tp.topic](value)
                except Exception as error:
                    self._quarantine.put(record, error, stage="broadcast.apply")
        for tp in partitions:
            self._positions[tp] = await consumer.position(tp)


def _no_weights(item_id: str) -> ItemWeights:
    return ItemWeights(item_id=item_id, model_version="", others=[], weights=[])


def restore_and_log(blender: Blender, version: ModelVersion) -> bool:
    """Load a version's weights into a blender; features that only one of them has are named in the log.

    Args:
        blender: The blender, which continues from the version.
        version: The version in service.
    """
    is_restored = restore(blender, version)
    if is_restored and (difference := unmatched(blender, version)):
        _LOG.warning("version %s was made for other features: %s", version.version, difference)
    return is_restored
