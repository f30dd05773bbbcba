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
from models.cooccurrence import NEXT, TOGETHER
from schemas.types import Interaction, ItemNeighbors
from streams.core.learner import Learner
from streams.core.position import Position
from streams.decode import Decoder
from streams.params import learner_params
from topics.topic import INTERACTIONS, ITEM_NEIGHBORS

_PUBLISH_EVERY_S = 1.0
_ROWS_WHEN_BEHIND = 200
"""Rows published a second while there is a backlog: enough to be of use, too few to slow learning down."""
_ROWS = 2_000
_MOST_RECORDS = 1_000
_MIN_BYTES, _WAIT_MS = 256 << 10, 100
"""Interactions are learned a batch at a time: the broker holds back fewer for so long."""


class Trainer:
    """Learns from interactions and says which rows changed."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._watermark = 0

    @property
    def waiting(self) -> int:
        """Return how many changed rows are not published yet."""
        return len(self._learner.view.neighbors.changed)

    def learn(self, interactions: Iterable[tuple[Position, Interaction]]) -> None:
        """Learn from what was not seen before."""
        for position, event in interactions:
            self._learner.learn(event, position, weigh=False)
            self._watermark = max(self._watermark, event.occurred_at)

    def rows(self, most: int) -> list[ItemNeighbors]:
        """Return changed rows, longest waiting first."""
        return [self._row(index) for index in self._learner.view.neighbors.drain(most)]

    def _row(self, index: int) -> ItemNeighbors:
        view = self._learner.view
        others, sums = view.neighbors.links.row(index)
        return ItemNeighbors(
            item_id=view.items.names[index],
            neighbors=[view.items.names[other] for other in others.tolist()],
            scores=sums[TOGETHER].tolist(),
            follows=sums[NEXT].tolist(),
            mass=view.neighbors.links.mass(index),
            reference=view.neighbors.reference_ms or 0,
            watermark=self._watermark,
        )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Run the trainer until `stop` is set."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(settings.kafka_bootstrap_servers, registry)
    redis = connect(settings.redis_url)
    trainer = Trainer(Learner(learner_params(settings)))
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
                usable = await decoder.decode(records)
                trainer.learn((Position(r.partition, r.offset, r.timestamp), event) for r, event in usable)
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
