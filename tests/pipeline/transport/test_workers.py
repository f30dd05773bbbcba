"""Two workers share the partitions; the death of one moves its users to the other."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PARTITIONS

USERS = 400


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.start("trainer,links")
        await pipeline.publish(ITEMS, [an_item(f"i{n}", category=f"c{n % 5}") for n in range(100)])
        yield pipeline


async def shares(pipeline: Pipeline) -> list[int]:
    """Return how many partitions of interactions each worker has, fewest first."""
    return sorted(len(beat["partitions"]) for beat in await pipeline.roles() if beat["role"] == "feed")


async def test_a_killed_workers_users_move_to_the_other(pipeline: Pipeline) -> None:
    events = [
        an_interaction(
            event_id=str(uuid.uuid4()), user_id=f"u{n % USERS}", item_id=f"i{n % 100}", occurred_at=T0_MS + n
        )
        for n in range(20_000)
    ]
    await pipeline.start("feed", worker_id="a")
    await pipeline.settle()
    worker = await pipeline.start("feed", worker_id="b")
    half = PARTITIONS // 2

    async def shared() -> bool:
        return await shares(pipeline) == [half, half]

    await until(shared, what="two workers with half the partitions each")
    await pipeline.publish(INTERACTIONS, events[:10_000])
    await pipeline.kill(worker)
    await pipeline.publish(INTERACTIONS, events[10_000:])

    async def alone() -> bool:
        return await shares(pipeline) == [PARTITIONS]

    await until(alone, what="one worker with all partitions")
    await pipeline.settle()
    features = await pipeline.features()
    assert {user_id: user_features.event_count for user_id, user_features in features.items()} == {
        f"u{n}": len(events) // USERS for n in range(USERS)
    }
    stats = await pipeline.stats()
    assert sum(user_features.counts["click"] for user_features in stats.values()) == len(events)
    feeds = await RedisFeedStore(pipeline.redis).read(sorted(features))
    assert all(feed is not None and feed.features_version == features[feed.user_id].version for feed in feeds)
    assert await pipeline.dead_letters() == []


async def test_an_event_in_a_wrong_partition_is_sent_to_the_right_one(pipeline: Pipeline) -> None:
    await pipeline.start("feed")
    codec = pipeline.registry.codec(INTERACTIONS.record)
    events = [an_interaction(event_id=str(uuid.uuid4()), user_id=f"w{n}", occurred_at=T0_MS) for n in range(20)]
    producer = AIOKafkaProducer(bootstrap_servers=pipeline.addresses.kafka_bootstrap_servers)
    await producer.start()
    for event in events:  # all in one partition, which is the right one for few of them
        await producer.send_and_wait(INTERACTIONS.name, codec.encode(event), key=event.user_id.encode(), partition=0)
    await producer.stop()
    await pipeline.publish(
        INTERACTIONS, [an_interaction(event_id=str(uuid.uuid4()), user_id=f"w{n}") for n in range(20)]
    )
    await pipeline.settle()
    assert {user_id: user_features.event_count for user_id, user_features in (await pipeline.features()).items()} == {
        f"w{n}": 2 for n in range(20)
    }
