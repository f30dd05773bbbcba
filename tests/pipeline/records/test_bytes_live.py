"""Records that grow with what people do: bounded in bytes, and one that cannot be written stops nobody else."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from schemas.types import Interaction
from streams.core.item.item_stats import SEGMENTS
from tests.build import a_content, a_profile, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics import Topic
from topics.topic import CONTENT, FEATURES, INTERACTIONS, ITEMS, MIB, PROFILES

USERS = [f"u{number}" for number in range(24)]
LONG = ["語" * 250 + f"{number:06}" for number in range(1_000)]
NOISE = [
    "".join(chr(random.Random(f"{n} {place}").randrange(0x4E00, 0x9FFF)) for place in range(250)) for n in range(40)
]
"""What no compression makes small."""
HOSTILE = "hostile"


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}") for n in range(30)])
        yield pipeline


def clicks(user_ids: Iterable[str], item_id: str = "i1") -> list[Interaction]:
    return [
        an_interaction(event_id=uuid.uuid4().hex, user_id=user_id, item_id=item_id, occurred_at=clock.now_ms())
        for user_id in user_ids
    ]


async def assert_fresh(pipeline: Pipeline, count: int) -> None:
    """Everybody's events are folded, and their feeds are of their newest features."""
    features_by_user = await pipeline.features()
    assert {user_id: features_by_user[user_id].event_count for user_id in USERS} == dict.fromkeys(USERS, count)
    feeds = await RedisFeedStore(pipeline.redis).read(USERS)
    assert [feed and feed.features_version for feed in feeds] == [
        features_by_user[user_id].version for user_id in USERS
    ]


async def test_a_thousand_long_ids_of_one_user_stop_nobody(pipeline: Pipeline) -> None:
    worker, others = await pipeline.start("feed"), await pipeline.start("trainer,links,archive,log")
    for start in range(0, 2_000, 334):
        ids = [LONG[number // 2] for number in range(start, min(start + 334, 2_000))]
        await pipeline.publish(INTERACTIONS, [click for item_id in ids for click in clicks([HOSTILE], item_id)])
        await pipeline.publish(INTERACTIONS, clicks(USERS))
    await pipeline.settle()
    await assert_fresh(pipeline, 6)
    user_features = (await pipeline.features())[HOSTILE]
    assert user_features.event_count == 2_000
    assert len(pipeline.registry.codec(FEATURES.record).encode(user_features)) < MIB // 2
    assert user_features.seen[-1] == LONG[-1], "the newest are known"
    assert await pipeline.dead_letters() == []

    async def counted() -> bool:
        return any(role.get("trimmed", {}).get("seen", 0) > 0 for role in await pipeline.roles())

    await until(counted, what="what gave way is counted")
    assert await pipeline.stop(worker) == 0
    worker = await pipeline.start("feed")
    await pipeline.publish(INTERACTIONS, clicks([*USERS, HOSTILE]))
    await pipeline.settle()
    await assert_fresh(pipeline, 7)
    assert (worker.returncode, others.returncode) == (None, None)
    assert await pipeline.dead_letters() == []


async def test_twelve_hundred_groups_make_no_record_too_large(pipeline: Pipeline) -> None:
    worker, others = await pipeline.start("feed"), await pipeline.start("trainer,links,archive,log")
    members = [f"member-{number}" for number in range(1_200)]
    profiles = [
        a_profile(event_id=uuid.uuid4().hex, user_id=user_id, segment=f"{user_id} " + "語" * 900) for user_id in members
    ]
    await pipeline.publish(PROFILES, profiles)
    await pipeline.settle()
    await pipeline.publish(INTERACTIONS, clicks(members))
    await pipeline.publish(INTERACTIONS, clicks(USERS))
    await pipeline.settle()
    await assert_fresh(pipeline, 1)
    stats = (await pipeline.stats())["i1"]
    assert (stats.counts, len(stats.segments)) == ({"click": 1_224}, SEGMENTS)
    assert await pipeline.dead_letters() == []
    assert (worker.returncode, others.returncode) == (None, None)


async def test_stated_and_fetched_lists_make_no_record_too_large(pipeline: Pipeline) -> None:
    worker, others = await pipeline.start("feed"), await pipeline.start("trainer,links,archive,log")
    half = LONG[:400]
    profile = a_profile(event_id="p", user_id=HOSTILE, categories=half, muted=half[::-1], topics=half[:100])
    await pipeline.publish(PROFILES, [profile])
    found_items = [{"item_id": item_id, "reason": ""} for item_id in LONG]
    items = [a_content().items[0].__class__(**one) for one in found_items]
    contents = [
        a_content(user_id=HOSTILE, category=f"c{n}", items=items[:900], requested_at=clock.now_ms() + n)
        for n in range(12)
    ]
    await pipeline.publish(CONTENT, contents)
    await pipeline.publish(INTERACTIONS, clicks([*USERS, HOSTILE]))
    await pipeline.settle()
    await assert_fresh(pipeline, 1)
    user_features = (await pipeline.features())[HOSTILE]
    assert user_features.preferred == half[: len(user_features.preferred)]
    assert user_features.muted == half[::-1][: len(user_features.muted)]
    assert len(pipeline.registry.codec(FEATURES.record).encode(user_features)) < MIB // 2
    letters = await pipeline.dead_letters()
    assert [(letter.topic, letter.reason) for letter in letters] == [(PROFILES.name, "too_large")], (
        "merged ones are less"
    )
    assert (worker.returncode, others.returncode) == (None, None)


def limited(servers: str, topic: Topic, size: int) -> None:
    """Have a broker take smaller messages of a topic than it was made for."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


async def test_a_record_that_the_broker_refuses_becomes_a_dead_letter_for_its_key_alone(pipeline: Pipeline) -> None:
    worker, _ = await pipeline.start("feed"), await pipeline.start("trainer,links,archive,log")
    await pipeline.publish(INTERACTIONS, clicks(USERS))
    await pipeline.settle()
    await asyncio.to_thread(limited, pipeline.addresses.kafka_bootstrap_servers, FEATURES, 8_000)
    await pipeline.publish(INTERACTIONS, clicks(USERS))
    for item_id in NOISE:
        await pipeline.publish(INTERACTIONS, clicks([HOSTILE], item_id))
    await asyncio.wait_for(worker.wait(), 60)
    assert worker.returncode not in (0, None), "what was lost ends the process, and not in order"
    worker = await pipeline.start("feed")
    await pipeline.publish(INTERACTIONS, clicks(USERS))
    await pipeline.settle()
    await assert_fresh(pipeline, 3)
    [letter] = await pipeline.dead_letters()
    assert (letter.topic, letter.key, letter.reason) == (FEATURES.name, HOSTILE.encode(), "too_large")
    assert len(letter.value or b"") > 8_000
    assert worker.returncode is None
    action_counts = (await pipeline.stats())[NOISE[-1]].counts
    assert action_counts == {"click": 1}, "what the events meant for their items is not lost with it"

    async def counted() -> bool:
        return any(role.get("rejected", {}).get(FEATURES.name, 0) > 0 for role in await pipeline.roles())

    await until(counted, what="what was rejected is counted")
