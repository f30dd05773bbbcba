"""What `millrace status` and `millrace topics tail` read from real servers."""

import asyncio
import os
import sys
import time
import uuid
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra.address import Addresses
from infra.health import status
from infra.health.pipeline_health import PipelineReader
from infra.kafka.admin.provision import APP_ID, BrokerTopic, create
from infra.kafka.publisher import Publisher
from infra.kafka.readers.topic_tail import follow, last
from infra.kafka.registry import Registry
from infra.local.port import free_ports
from infra.redis import heartbeat
from infra.redis.connection import connect
from infra.settings import Settings, to_env
from schemas.types import Audit, Interaction
from tests import waiting
from tests.build import a_feed, a_profile, an_interaction
from tests.sample import a_sample
from topics import Topic
from topics.topic import AUDITS, FEEDS, INTERACTIONS, PROFILES

DEADLINE_S = 60.0


def an_audit(user_id: str) -> Audit:
    audit: Audit = msgspec.structs.replace(a_sample(Audit), user_id=user_id)
    return audit


async def test_running_servers_are_up_and_a_stopped_one_is_named(stack: Addresses) -> None:
    (port,) = free_ports(1)
    settings = stack.apply_to(Settings())
    assert (await status.read(settings)).up
    current_status = await status.read(replace(settings, redis_url=f"redis://127.0.0.1:{port}/0"))
    assert not current_status.up
    assert [name for name, server in current_status.servers.items() if not server.up] == ["redis"]
    assert "Connect" in current_status.servers["redis"].problem


async def test_nothing_up_is_an_answer_too() -> None:
    ports = free_ports(4)
    nowhere = Addresses(
        f"127.0.0.1:{ports[0]}",
        f"http://127.0.0.1:{ports[1]}",
        f"redis://127.0.0.1:{ports[2]}/0",
        f"postgresql://postgres:secret@127.0.0.1:{ports[3]}/x",
    )
    current_status = await status.read(nowhere.apply_to(Settings()))
    assert {server.up for server in current_status.servers.values()} == {False}
    assert "secret" not in current_status.servers["database"].address
    assert (current_status.lag, current_status.roles, current_status.newest_feed_at) == ({}, [], None)


async def test_the_lag_of_a_group_is_what_it_has_not_read(
    stack: Addresses, publisher: Publisher, registry: Registry
) -> None:
    group = uuid.uuid4().hex
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap_servers, "group.id": group})
    ends = [consumer.get_watermark_offsets(TopicPartition(PROFILES.name, number)) for number in range(8)]
    offsets = [TopicPartition(PROFILES.name, number, end) for number, (_, end) in enumerate(ends)]
    await asyncio.to_thread(consumer.commit, offsets=offsets, asynchronous=False)
    consumer.close()
    await publisher.publish(PROFILES, [a_profile(user_id=f"{group}-{n}") for n in range(7)])
    assert (await status.read(stack.apply_to(Settings()))).lag[group] == {PROFILES.name: 7}


async def test_the_age_of_the_newest_feed_is_measured(stack: Addresses, publisher: Publisher) -> None:
    await publisher.publish(FEEDS, [a_feed()])
    at_s = time.time()
    current_status = await status.read(stack.apply_to(Settings()))
    assert current_status.newest_feed_at is not None
    assert abs(current_status.newest_feed_at / 1000 - at_s) < 5
    assert current_status.newest_feed_age_s is not None
    assert current_status.newest_feed_age_s < 10


async def test_roles_are_seen_by_their_signs_of_life(stack: Addresses) -> None:
    redis = connect(stack.redis_url)
    beating = asyncio.create_task(heartbeat.publish_heartbeat(redis, "juggler", lambda: {"balls": 3}))
    async with asyncio.timeout(DEADLINE_S):
        while "juggler" not in [role["role"] for role in (await status.read(stack.apply_to(Settings()))).roles]:
            pass
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert "juggler" not in [role["role"] for role in (await status.read(stack.apply_to(Settings()))).roles]
    await redis.aclose()


@pytest.fixture
async def redis(stack: Addresses) -> AsyncIterator[Redis]:
    """A database of its own, empty."""
    client = connect(stack.redis_url.removesuffix("/0") + "/10")
    await client.flushdb()
    yield client
    await client.flushdb()
    await client.aclose()


until = partial(waiting.until, timeout_s=DEADLINE_S, look_every_s=0.05)


def of(stack: Addresses, **value: Any) -> Settings:
    """Return settings of the stack with the database that the fixture empties."""
    return replace(stack.apply_to(Settings()), redis_url=stack.redis_url.removesuffix("/0") + "/10", **value)


async def test_a_role_that_falls_silent_is_late_and_one_that_was_stopped_in_order_is_not_missed(
    stack: Addresses, redis: Redis
) -> None:
    settings = of(stack, expected_roles="juggler,clown")
    beating = asyncio.create_task(heartbeat.publish_heartbeat(redis, "juggler", dict))

    async def state() -> str:
        pipeline = (await status.read(settings)).pipeline
        return pipeline.roles["juggler"].state if pipeline is not None else ""

    async def is_up() -> bool:
        return await state() == "up"

    await until(is_up)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    current_status = await status.read(settings)
    assert current_status.pipeline is not None
    assert (current_status.up, current_status.pipeline.status) == (True, "degraded")
    assert [problem.partition(" ")[0] for problem in current_status.problems] == ["juggler", "clown"]
    assert current_status.pipeline.roles["juggler"].crashes == 1
    await heartbeat.remove_heartbeat(redis, ["juggler"])
    current_status = await status.read(of(stack))
    assert (current_status.problems, current_status.pipeline.roles if current_status.pipeline else None) == ([], {})


async def test_a_redis_that_is_out_of_memory_is_not_well(stack: Addresses, redis: Redis) -> None:
    reader = PipelineReader(of(stack), redis)
    assert (await reader.read()).redis_writes == "ok"
    await redis.config_set("maxmemory", 1)
    try:
        entries = await reader.read()
        assert (entries.status, entries.redis_writes) == ("degraded", "refused")
        assert "OutOfMemory" in entries.problems[0]
        assert "OutOfMemory" in (await status.read(of(stack))).problems[0]
    finally:
        await redis.config_set("maxmemory", 0)
    assert (await reader.read()).redis_writes == "ok"
    await reader.close()


async def test_events_that_were_deleted_unread_are_counted_and_stay_on_record(
    stack: Addresses, publisher: Publisher, redis: Redis
) -> None:
    group, user_id = f"{APP_ID}-{uuid.uuid4().hex}", uuid.uuid4().hex
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap_servers})
    await publisher.publish(AUDITS, [an_audit(user_id=user_id) for _ in range(10)])
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap_servers, "group.id": group})
    ends = {n: consumer.get_watermark_offsets(TopicPartition(AUDITS.name, n)) for n in range(AUDITS.partitions)}
    number = next(n for n, (low, high) in ends.items() if high - low >= 10)
    low, high = ends[number]
    await asyncio.to_thread(consumer.commit, offsets=[TopicPartition(AUDITS.name, number, low + 3)], asynchronous=False)
    [deletion] = admin.delete_records([TopicPartition(AUDITS.name, number, high - 2)]).values()
    await asyncio.to_thread(deletion.result)
    count = high - 2 - (low + 3)

    current_status = await status.read(of(stack))
    assert current_status.lag[group] == {AUDITS.name: 2}, "what was deleted is not what waits"
    assert current_status.pipeline is not None
    assert current_status.pipeline.deleted_unread[group] == {AUDITS.name: count}
    assert f"{count:,} records of {AUDITS.name} were deleted by retention" in current_status.problems[-1]

    reader = PipelineReader(of(stack), redis)

    async def told() -> bool:
        return group in " ".join((await reader.read()).problems)

    await until(told)
    await reader.close()

    await asyncio.to_thread(consumer.commit, offsets=[TopicPartition(AUDITS.name, number, high)], asynchronous=False)
    consumer.close()
    current_status = await status.read(of(stack))
    assert not any(group in problem for problem in current_status.problems)
    assert current_status.pipeline is not None
    assert current_status.pipeline.deleted_unread[group] == {AUDITS.name: count}


@pytest.mark.parametrize(("expected", "code", "first"), [("", 0, "No problems."), ("clown", 2, "clown has not been")])
async def test_the_command_says_what_is_wrong_first_and_by_its_exit_code(
    stack: Addresses, redis: Redis, expected: str, code: int, first: str
) -> None:
    status_code, out = await millrace_status(of(stack, expected_roles=expected))
    assert (status_code, out.startswith(first)) == (code, True), out


async def test_the_command_fails_when_a_server_does_not_answer(stack: Addresses) -> None:
    (port,) = free_ports(1)
    code, out = await millrace_status(replace(of(stack), redis_url=f"redis://:secret@127.0.0.1:{port}/0"))
    assert code == 1
    assert out.startswith("redis does not answer")
    assert "secret" not in out


async def millrace_status(settings: Settings) -> tuple[int, str]:
    """Run `millrace status` and return its exit status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "status"), env=os.environ | to_env(settings), stdout=PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    return process.returncode or 0, out.decode()


async def test_a_tail_shows_the_last_events_in_order_and_what_cannot_be_decoded(
    stack: Addresses, publisher: Publisher, registry: Registry
) -> None:
    user_id = uuid.uuid4().hex
    for n in range(12):
        await publisher.publish(INTERACTIONS, [an_interaction(user_id=f"{user_id}-{n}", item_id=f"i{n}")])
    publisher.produce_bytes(INTERACTIONS, user_id.encode(), b"not a record")
    await publisher.flush()
    result = await last(stack.kafka_bootstrap_servers, registry, INTERACTIONS, count=5)
    assert [entry.value.item_id for entry in result[:4]] == ["i8", "i9", "i10", "i11"]
    assert (result[4].key, result[4].value) == (user_id.encode(), None)
    assert result[4].problem.startswith("bad_frame")


async def test_a_tail_of_an_empty_topic_is_empty(stack: Addresses, registry: Registry) -> None:
    empty = Topic(f"empty-{uuid.uuid4().hex}.v1", Interaction, "user_id", "tests", "Nothing.", partitions=2)
    await create(
        stack.kafka_bootstrap_servers, [BrokerTopic(empty.name, 2, {"message.timestamp.type": "LogAppendTime"})]
    )
    assert await last(stack.kafka_bootstrap_servers, registry, empty, count=3) == []


async def test_a_followed_topic_yields_what_comes(stack: Addresses, publisher: Publisher, registry: Registry) -> None:
    event = an_interaction(user_id=uuid.uuid4().hex)
    following = follow(stack.kafka_bootstrap_servers, registry, INTERACTIONS)
    coming = asyncio.ensure_future(anext(following))
    async with asyncio.timeout(DEADLINE_S):
        while not coming.done():  # it may not listen yet when the first one is published
            await publisher.publish(INTERACTIONS, [event])
    assert (await coming).value == event
    await following.aclose()  # type: ignore[attr-defined]
