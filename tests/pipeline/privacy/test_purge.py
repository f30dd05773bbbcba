"""An erasure to the last byte: one of 1,000 users, while events flow, on servers whose files the check reads, too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from infra.local import LocalStack, Ports
from infra.redis.stores.feed_codec import unpack
from infra.settings import Settings
from tests.conftest import show
from tests.pipeline.pipeline import Pipeline
from tests.pipeline.privacy.erasure_world import (
    NEEDLE,
    ROLES,
    SETTINGS,
    USER,
    World,
    a_world,
    events,
    file_traces,
    load,
    verify,
)
from topics.topic import INTERACTIONS, PARTITIONS

CROWD = [f"crowd-{number}" for number in range(993)]
"""With the users of the world, a thousand."""
QUIET = CROWD[:50]
WITHIN_S = 60.0
"""Time from the purge until nothing is left that docs/privacy.md states."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    stack = LocalStack(tmp_path, settings=Settings(), ports=Ports.free(), on_step=show)
    async with stack as addresses, a_world(addresses, tmp_path) as world:
        yield world


async def records(pipeline: Pipeline) -> dict[tuple[int, int], ConsumerRecord]:
    """Return the interactions by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=pipeline.addresses.kafka_bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(INTERACTIONS.name, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        by_place: dict[tuple[int, int], ConsumerRecord] = {}
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                by_place |= {(record.partition, record.offset): record for record in batch}
        return by_place
    finally:
        await consumer.stop()


async def feeds(pipeline: Pipeline) -> dict[str, list[str]]:
    """Return the items in the feeds of users without new events."""
    contents = {user: await pipeline.redis.get(f"feed:{user}") for user in QUIET}
    return {user: unpack(user, data).items for user, data in contents.items() if data is not None}


async def check(pipeline: Pipeline) -> tuple[int, Any]:
    """Return the exit code and the result of the check."""
    code, out, err = await pipeline.millrace("erase", USER, "--check", "--json", **SETTINGS)
    assert out, err
    return code, json.loads(out)


async def test_no_byte_of_an_erased_user_is_left_and_nobody_else_notices(world: World) -> None:
    async with asyncio.timeout(1_500):
        await _erase_to_the_last_byte(world)


async def _erase_to_the_last_byte(world: World) -> None:
    pipeline = world.pipeline
    start_s = time.monotonic()
    await pipeline.publish(INTERACTIONS, events(CROWD, 3))
    await world.fill()
    feeds_before = await feeds(pipeline)
    assert len(feeds_before) == len(QUIET)
    code, result = await check(pipeline)
    print(f"filled after {time.monotonic() - start_s:.1f} s")
    print([(one["store"], one["name"], one["count"]) for one in result["occurrences"]])
    assert (code, result["has_server_files"], result["erased_at"]) == (1, True, None)
    assert {one["store"] for one in result["occurrences"]} == {"topics", "redis", "postgresql", "files"}
    async with load(pipeline):
        document = await world.erase()
        records_before = await records(pipeline)
        purge_s = time.monotonic()
        code, _, err = await pipeline.millrace("purge", "--restart-kafka", **SETTINGS)
        assert code == 0, err
        print(err, f"purged after {time.monotonic() - purge_s:.1f} s")
        for worker in pipeline.processes[-len(ROLES) :]:  # manifests of tables name keys until their worker restarts
            await pipeline.stop(worker)
        for roles in ROLES:
            await pipeline.start(roles, **SETTINGS)
        code, result = await check(pipeline)
        print([(one["store"], one["name"], one["count"]) for one in result["occurrences"]])
        print(f"checked after {time.monotonic() - purge_s:.1f} s")
        assert (code, result["occurrences"], result["unread"]) == (0, [], [])
        assert time.monotonic() - purge_s < WITHIN_S
    assert list(file_traces(pipeline.home, NEEDLE)) == []
    await pipeline.settle()
    assert await feeds(pipeline) == feeds_before
    records_after = await records(pipeline)
    assert {at: record for at, record in records_before.items() if record.key != NEEDLE} == {
        at: records_after[at] for at in records_after if at in records_before
    }
    assert await verify(pipeline, document) == "Authentic"
