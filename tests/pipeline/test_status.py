"""What `millrace status` and `millrace topics tail` read from real servers."""

import asyncio
import time
import uuid
from dataclasses import replace

from confluent_kafka import Consumer, TopicPartition

from infra import heartbeat, status
from infra.address import Addresses
from infra.local.port import free_ports
from infra.provision import BrokerTopic, create
from infra.publisher import Publisher
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from infra.tail import follow, last
from schemas.types import Interaction
from tests.build import a_feed, a_profile, an_interaction
from topics import Topic
from topics.topic import FEEDS, INTERACTIONS, PROFILES

DEADLINE_S = 30.0


async def test_running_servers_are_up_and_a_stopped_one_is_named(stack: Addresses) -> None:
    (port,) = free_ports(1)
    settings = stack.into(Settings())
    assert (await status.read(settings)).up
    found = await status.read(replace(settings, redis_url=f"redis://127.0.0.1:{port}/0"))
    assert not found.up
    assert [name for name, server in found.servers.items() if not server.up] == ["redis"]
    assert "Connect" in found.servers["redis"].problem


async def test_nothing_up_is_an_answer_too() -> None:
    ports = free_ports(4)
    nowhere = Addresses(
        f"127.0.0.1:{ports[0]}",
        f"http://127.0.0.1:{ports[1]}",
        f"redis://127.0.0.1:{ports[2]}/0",
        f"postgresql://postgres:secret@127.0.0.1:{ports[3]}/x",
    )
    found = await status.read(nowhere.into(Settings()))
    assert {server.up for server in found.servers.values()} == {False}
    assert "secret" not in found.servers["database"].address
    assert (found.lag, found.roles, found.newest_feed_at) == ({}, [], None)


async def test_the_lag_of_a_group_is_what_it_has_not_read(
    stack: Addresses, publisher: Publisher, registry: Registry
) -> None:
    group = uuid.uuid4().hex
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap_servers, "group.id": group})
    ends = [consumer.get_watermark_offsets(TopicPartition(PROFILES.name, number)) for number in range(8)]
    committed = [TopicPartition(PROFILES.name, number, end) for number, (_, end) in enumerate(ends)]
    await asyncio.to_thread(consumer.commit, offsets=committed, asynchronous=False)
    consumer.close()
    await publisher.publish(PROFILES, [a_profile(user_id=f"{group}-{n}") for n in range(7)])
    assert (await status.read(stack.into(Settings()))).lag[group] == {PROFILES.name: 7}


async def test_the_age_of_the_newest_feed_is_measured(stack: Addresses, publisher: Publisher) -> None:
    await publisher.publish(FEEDS, [a_feed()])
    at_s = time.time()
    found = await status.read(stack.into(Settings()))
    assert found.newest_feed_at is not None
    assert abs(found.newest_feed_at / 1000 - at_s) < 5
    assert found.newest_feed_age_s is not None
    assert found.newest_feed_age_s < 10


async def test_roles_are_seen_by_their_signs_of_life(stack: Addresses) -> None:
    redis = connect(stack.redis_url)
    beating = asyncio.create_task(heartbeat.beat(redis, "juggler", lambda: {"balls": 3}))
    async with asyncio.timeout(DEADLINE_S):
        while "juggler" not in [role["role"] for role in (await status.read(stack.into(Settings()))).roles]:
            pass
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    assert "juggler" not in [role["role"] for role in (await status.read(stack.into(Settings()))).roles]
    await redis.aclose()


async def test_a_tail_shows_the_last_events_in_order_and_what_cannot_be_decoded(
    stack: Addresses, publisher: Publisher, registry: Registry
) -> None:
    user_id = uuid.uuid4().hex
    for n in range(12):
        await publisher.publish(INTERACTIONS, [an_interaction(user_id=f"{user_id}-{n}", item_id=f"i{n}")])
    publisher.produce_bytes(INTERACTIONS, user_id.encode(), b"not a record")
    await publisher.flush()
    found = await last(stack.kafka_bootstrap_servers, registry, INTERACTIONS, count=5)
    assert [entry.value.item_id for entry in found[:4]] == ["i8", "i9", "i10", "i11"]
    assert (found[4].key, found[4].value) == (user_id.encode(), None)
    assert found[4].problem.startswith("bad_frame")


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
