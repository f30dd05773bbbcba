"""Log role: topics → read models in Redis: interactions, profiles, charts, experiments."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from domain.timestamp import DAY_MS
from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.registry import Registry
from infra.redis.projection import RedisProjection
from infra.redis.stores.chart_store import ChartStore, RedisChartStore
from infra.redis.stores.experiment_store import RedisExperimentStore
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.item_store import ItemStore, RedisItemStore
from infra.redis.stores.user_profile_store import RedisUserProfileStore, UserProfileStore
from infra.settings import Settings
from schemas.types import ItemStats
from streams.runtime.dead_letter_queue import DeadLetterQueue, Record
from streams.runtime.decode import Decoder
from streams.runtime.erasure_sink import with_erasures
from streams.runtime.role import open_role
from streams.runtime.sink import Rewind, run_sink
from streams.runtime.user_eraser import RedisUserEraser
from topics import Topic
from topics.topic import ERASURE_REQUESTS, EXPERIMENTS, FEATURES, INTERACTIONS, ITEM_STATS, ITEMS, PROFILES

WriteRecords = Callable[[Sequence[tuple[Record, Any]]], Awaitable[None]]
"""Writes the records of a batch with their values, None for a deletion; writes are idempotent."""


class _ChartItem(msgspec.Struct, gc=False):
    category: str
    private: bool = False


class ChartProjector:
    """Writes item statistics to the charts."""

    def __init__(self, charts: ChartStore, items: ItemStore) -> None:
        self._charts, self._items = charts, items
        self._decoder = msgspec.json.Decoder(_ChartItem)

    async def write(self, stats: Sequence[ItemStats]) -> None:
        """Write the trending scores of items; private items are left out."""
        trends = {one.item_id: one.trending for one in stats if math.isfinite(one.trending)}
        stored_items = await self._items.read(list(trends))
        chart_items = {
            item: self._decoder.decode(data)
            for item, data in zip(trends, stored_items, strict=True)
            if data is not None
        }
        public = {
            item: trend for item, trend in trends.items() if not (item in chart_items and chart_items[item].private)
        }
        await self._charts.write(public, {item: chart_items[item].category for item in public if item in chart_items})


class InteractionLogProjector:
    """Writes batches to read models. A record that Redis refuses becomes a dead letter; the others are written."""

    def __init__(
        self,
        writes: Mapping[Topic, WriteRecords],
        registry: Registry,
        dead_letters: DeadLetterQueue,
        *,
        erasures: ErasureIndex | None = None,
    ) -> None:
        self._dead_letters = dead_letters
        self._puts = {topic.name: put for topic, put in writes.items()}
        # Unusable records are skipped here: the agents that own these topics send them to the dead-letter topic.
        self._decoders = {
            topic.name: Decoder(topic, registry, None, stage="log", tombstones=topic is PROFILES, erasures=erasures)
            for topic in writes
        }
        self.written_count = 0

    async def write(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; wait for as long as Redis is unavailable.

        Raises:
            PublishError: a dead letter was not written.
        """
        usable = await self._decoders[topic].decode(records)
        refused_count = await self._dead_letters.write(
            usable, self._puts[topic], stage="log.write", log_message=f"{topic} wait for the store"
        )
        self.written_count += len(usable) - refused_count


def writes(redis: Redis) -> dict[Topic, WriteRecords]:
    """Return the write function of each topic."""
    profile_store, interaction_log = RedisUserProfileStore(redis), RedisInteractionLog(redis)
    return {
        INTERACTIONS: _values(interaction_log.write),
        FEATURES: _values(profile_store.write_inferred),
        PROFILES: _profiles(profile_store),
        ITEM_STATS: _values(ChartProjector(RedisChartStore(redis), RedisItemStore(redis)).write),
        EXPERIMENTS: _values(RedisExperimentStore(redis).write),
    }


def _values(write: Callable[[Sequence[Any]], Awaitable[None]]) -> WriteRecords:
    return lambda usable: write([value for _, value in usable])


def _profiles(profile_store: UserProfileStore) -> WriteRecords:
    async def put(usable: Sequence[tuple[Record, Any]]) -> None:
        newest = {(record.key or b"").decode(): value for record, value in usable}
        await profile_store.write_stated([profile for profile in newest.values() if profile is not None])
        await profile_store.forget_stated([user_id for user_id, profile in newest.items() if profile is None])

    return put


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the role until `stop` is set."""
    async with open_role("log", settings) as role:
        topic_writes = writes(role.redis)
        projector = InteractionLogProjector(topic_writes, role.registry, role.dead_letters, erasures=role.erasures)
        eraser = RedisUserEraser(role.redis, role.name)
        rewind = Rewind(RedisProjection(role.redis), ages_ms={INTERACTIONS: DAY_MS}, after={ITEM_STATS: ITEMS})
        await role.run(
            stop,
            run_sink(
                role,
                [*topic_writes, ERASURE_REQUESTS],
                with_erasures(role, projector.write, lambda request: eraser.erase(request, {})),
                rewind=rewind,
            ),
            describe=lambda: {"written": projector.written_count},
        )
