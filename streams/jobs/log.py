"""Topics → what the API reads in Redis: users' last days, who they are, what trends, which experiments there are."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from infra import heartbeat
from infra.chart_store import ChartStore, RedisChartStore
from infra.experiment_store import RedisExperimentStore
from infra.interaction_log import RedisInteractionLog
from infra.item_store import ItemStore, RedisItemStore
from infra.portrait_store import RedisPortraitStore
from infra.projection import RedisProjection
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from schemas.types import ItemStats
from streams.decode import Decoder
from streams.jobs.sink import Rewind, drain
from streams.patience import patiently
from topics import Topic
from topics.topic import DAY_MS, EXPERIMENTS, FEATURES, INTERACTIONS, ITEM_STATS, PROFILES

GROUP = "millrace-log"

Put = Callable[[Sequence[Any]], Awaitable[None]]
"""Writes the records of a batch; what came before may come again."""


class _Filed(msgspec.Struct, gc=False):
    category: str


class Charting:
    """Writes how items are doing to the charts."""

    def __init__(self, charts: ChartStore, items: ItemStore) -> None:
        self._charts, self._items = charts, items
        self._filed = msgspec.json.Decoder(_Filed)

    async def write(self, stats: Sequence[ItemStats]) -> None:
        """Write how items are doing now."""
        trends = {one.item_id: one.trending for one in stats if math.isfinite(one.trending)}
        found = await self._items.read(list(trends))
        categories = {
            item: self._filed.decode(data).category
            for item, data in zip(trends, found, strict=True)
            if data is not None
        }
        await self._charts.write(trends, categories)


class Logging:
    """Writes batches, and counts."""

    def __init__(self, writes: Mapping[Topic, Put], registry: Registry) -> None:
        self._puts = {topic.name: put for topic, put in writes.items()}
        # What is unusable is passed over: the agents that own these topics set it aside.
        self._decoders = {topic.name: Decoder(topic, registry, None, stage="log") for topic in writes}
        self.written = 0

    async def write(self, topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; waits for as long as Redis is away."""
        values = [value for _, value in await self._decoders[topic].decode(records)]
        await patiently(lambda: self._puts[topic](values), f"{topic} wait for the store")
        self.written += len(values)


def writes(redis: Redis) -> dict[Topic, Put]:
    """Return what is written of each topic."""
    portraits = RedisPortraitStore(redis)
    return {
        INTERACTIONS: RedisInteractionLog(redis).write,
        FEATURES: portraits.write_found,
        PROFILES: portraits.write_stated,
        ITEM_STATS: Charting(RedisChartStore(redis), RedisItemStore(redis)).write,
        EXPERIMENTS: RedisExperimentStore(redis).write,
    }


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the log until `stop` is set."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    redis = connect(settings.redis_url)
    written = writes(redis)
    logging_ = Logging(written, registry)
    sign = heartbeat.beat(redis, "log", lambda: {"written": logging_.written})
    try:
        await drain(
            settings.kafka_bootstrap_servers,
            GROUP,
            written,
            logging_.write,
            stop=stop,
            beside=[sign],
            rewind=Rewind(RedisProjection(redis), ages_ms={INTERACTIONS: DAY_MS}),
        )
    finally:
        await redis.aclose()
        registry.close()
