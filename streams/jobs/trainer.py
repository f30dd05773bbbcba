"""interactions → item neighbors: the one learner of what is global. A batch consumer; it needs no table.

It reads the topic from its beginning at every start, so that its memory is a function of the topic alone: nothing is
committed, nothing can be lost or counted twice, and a second trainer would publish the same rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra import heartbeat
from infra.publisher import Publisher
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from models.cooccurrence import Cooccurrence
from models.model import Event
from models.weight import weight_of
from schemas.types import Interaction, ItemNeighbors
from streams.core.repeat import fingerprint, remember
from streams.decode import Decoder
from topics.topic import INTERACTIONS, ITEM_NEIGHBORS

_PUBLISH_EVERY_S = 1.0
_ROWS_WHEN_BEHIND = 200
"""Rows published a second while there is a backlog: enough to be of use, too few to slow learning down."""
_ROWS = 2_000
_NEIGHBORS = 100
_EVENT_IDS = 1_024
_MOST_RECORDS = 1_000
_MIN_BYTES, _WAIT_MS = 256 << 10, 100
"""Interactions are learned a batch at a time: the broker holds back fewer for so long."""


class Trainer:
    """Learns from interactions and says which rows changed."""

    def __init__(self, model: Cooccurrence) -> None:
        self._model = model
        self._event_ids: dict[str, dict[int, None]] = {}
        self._watermark = 0

    @property
    def waiting(self) -> int:
        """Return how many changed rows are not published yet."""
        return len(self._model.changed)

    def learn(self, interactions: Iterable[Interaction]) -> None:
        """Learn from what was not seen before."""
        fresh = [event for event in interactions if event.item_id is not None and self._is_fresh(event)]
        self._watermark = max([self._watermark, *(event.occurred_at for event in fresh)])
        self._model.learn(
            [
                Event(event.user_id, str(event.item_id), event.occurred_at, weight)
                for event in fresh
                if (weight := weight_of(event.action, event.value)) != 0.0
            ]
        )

    def rows(self, most: int) -> list[ItemNeighbors]:
        """Return changed rows, longest waiting first."""
        return [self._row(item_id) for item_id in self._model.drain(most)]

    def _row(self, item_id: str) -> ItemNeighbors:
        neighbors, scores = self._model.row(item_id, _NEIGHBORS)
        return ItemNeighbors(item_id=item_id, neighbors=neighbors, scores=scores, watermark=self._watermark)

    def _is_fresh(self, event: Interaction) -> bool:
        known = self._event_ids.setdefault(event.user_id, {})
        event_id = fingerprint(event.event_id)
        if event_id in known:
            return False
        remember(known, event_id, _EVENT_IDS)
        return True


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the trainer until `stop` is set."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(settings.kafka_bootstrap_servers, registry)
    redis = connect(settings.redis_url)
    trainer = Trainer(Cooccurrence(half_life_days=settings.cooccurrence_half_life_days))
    decoder = Decoder(INTERACTIONS, registry, None, stage="trainer")  # the user agent sets bad interactions aside
    partitions = [TopicPartition(INTERACTIONS.name, number) for number in range(INTERACTIONS.partitions)]
    positions: dict[str, int] = {}
    sign = asyncio.ensure_future(
        heartbeat.beat(redis, "trainer", lambda: {"positions": positions, "waiting": trainer.waiting})
    )
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_min_bytes=_MIN_BYTES,
        fetch_max_wait_ms=_WAIT_MS,
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        published_s = 0.0
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            fetched: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=200, max_records=_MOST_RECORDS)
            for records in fetched.values():
                trainer.learn([event for _, event in await decoder.decode(records)])
            if loop.time() - published_s >= _PUBLISH_EVERY_S or not fetched:
                published_s = loop.time()
                for row in trainer.rows(_ROWS_WHEN_BEHIND if fetched else _ROWS):
                    publisher.produce(ITEM_NEIGHBORS, row)
                await publisher.flush()
            for tp in partitions:
                positions[f"{tp.topic}-{tp.partition}"] = await consumer.position(tp)
    finally:
        sign.cancel()
        await consumer.stop()
        await publisher.close()
        await redis.aclose()
        registry.close()
