"""The plan of a purge on real servers: each kind of record that names an erased user goes, and what is unread stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from infra.kafka.admin.provision import consumer_group
from infra.kafka.partition import partition_of
from infra.local import LocalStack, Ports
from infra.settings import Settings
from schemas.types import DeadLetter, PushToken
from tests.build import T0_MS, a_feed, a_profile, an_interaction
from tests.conftest import show
from tests.pipeline.pipeline import Pipeline, a_pipeline
from topics.topic import DEAD_LETTERS, FEATURES, FEEDS, INTERACTIONS, PARTITIONS, PROFILES, PUSH_TOKENS

USER, OTHER = "erase-me-7f3a", "other"
USERS_CHANGELOG = f"{consumer_group('feed')}-users-changelog"
TOKENS_CHANGELOG = f"{consumer_group('push')}-tokens-changelog"
FEED_PARTITION = TopicPartition(FEEDS.name, partition_of(USER.encode(), PARTITIONS))
ENV = {"ERASURE_KEY": "a key that is long enough for a test"}


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    stack = LocalStack(tmp_path, settings=Settings(), ports=Ports.free(), on_step=show)
    async with stack as addresses, a_pipeline(addresses, tmp_path) as pipeline:
        yield pipeline


async def publish_everything(pipeline: Pipeline) -> None:
    """Publish records that name the user in each way, and one of another user beside each."""
    token_codec = pipeline.registry.codec(PushToken)
    for user in (USER, OTHER):
        token = PushToken(token=f"t-{user[:1]}", user_id=user, registered_at=T0_MS, appended_at=T0_MS)
        await pipeline.publish(INTERACTIONS, [an_interaction(event_id=f"{user}-{n}", user_id=user) for n in range(3)])
        await pipeline.publish(PROFILES, [a_profile(user_id=user)])
        await pipeline.publish(FEEDS, [a_feed(user_id=user)])
        await pipeline.publish(PUSH_TOKENS, [token])
        await pipeline.publish(
            DEAD_LETTERS,
            [
                a_letter("1" + user[:1], INTERACTIONS.name, key=user.encode(), value=b"no record of " + user.encode()),
                a_letter("2" + user[:1], PUSH_TOKENS.name, key=token.token.encode(), value=token_codec.encode(token)),
            ],
        )
    await asyncio.to_thread(publish_bytes, pipeline)


def a_letter(letter_id: str, topic: str, *, key: bytes, value: bytes) -> DeadLetter:
    return DeadLetter(
        letter_id=letter_id, topic=topic, partition=0, offset=0, timestamp=T0_MS, key=key, value=value, headers={},
        stage="a test", reason="unknown_schema", detail="", failed_at=T0_MS,
    )  # fmt: skip


def publish_bytes(pipeline: Pipeline) -> None:
    """Publish to changelogs, and in a transaction that is aborted."""
    server = {"bootstrap.servers": pipeline.addresses.kafka_bootstrap_servers, "partitioner": "murmur2_random"}
    producer = Producer(server | {"transactional.id": "a test"})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(FEATURES.name, key=USER.encode(), value=b"aborted")
    producer.flush(60)
    producer.abort_transaction(60)
    producer = Producer(server)
    for user in (USER, OTHER):
        producer.produce(USERS_CHANGELOG, key=user.encode(), value=b"\x01state")
        producer.produce(TOKENS_CHANGELOG, key=b"t-" + user[:1].encode(), value=b"\x01owner " + user.encode())
    assert producer.flush(60) == 0


def publish_tombstones(pipeline: Pipeline) -> None:
    """Publish what the roles publish when they erase the user."""
    server = {"bootstrap.servers": pipeline.addresses.kafka_bootstrap_servers, "partitioner": "murmur2_random"}
    producer = Producer(server)
    for name in (PROFILES.name, FEEDS.name, USERS_CHANGELOG):
        producer.produce(name, key=USER.encode(), value=None)
    producer.produce(PUSH_TOKENS.name, key=b"t-e", value=None, headers={"owner": USER.encode()})
    producer.produce(TOKENS_CHANGELOG, key=b"t-e", value=None)
    assert producer.flush(60) == 0


def commit_feeds(pipeline: Pipeline, offset: int) -> None:
    """Commit as a consumer group that copies feeds elsewhere."""
    server = {"bootstrap.servers": pipeline.addresses.kafka_bootstrap_servers, "group.id": "copies"}
    consumer = Consumer(server)
    try:
        position = TopicPartition(FEED_PARTITION.topic, FEED_PARTITION.partition, offset)
        consumer.commit(offsets=[position], asynchronous=False)
    finally:
        consumer.close()


async def check(pipeline: Pipeline) -> tuple[int, dict[tuple[str, str], int]]:
    """Return the exit code of the check, and the occurrences that it has found by store and place."""
    code, out, err = await pipeline.millrace("erase", USER, "--check", "--json", **ENV)
    assert out, err
    result: dict[str, Any] = json.loads(out)
    assert (result["has_server_files"], result["unread"]) == (True, [])
    return code, {(one["store"], one["name"]): one["count"] for one in result["occurrences"]}


async def records_of_other(pipeline: Pipeline) -> dict[str, Any]:
    """Return the records of the other user, by topic."""
    topics = INTERACTIONS, PROFILES, FEEDS, PUSH_TOKENS, DEAD_LETTERS
    keys = OTHER.encode(), b"t-o", b"1o", b"2o"
    return {topic.name: sorted(one for one in await pipeline.messages(topic) if one[0] in keys) for topic in topics}


async def test_each_record_of_an_erased_user_goes_and_what_is_unread_stays(pipeline: Pipeline) -> None:
    await publish_everything(pipeline)
    other_before = await records_of_other(pipeline)
    code, out, err = await pipeline.millrace("erase", USER, **ENV)
    assert code == 0, err
    assert json.loads(out)["stores"] == [], "no role has ever run here"
    await asyncio.to_thread(publish_tombstones, pipeline)
    await asyncio.to_thread(commit_feeds, pipeline, 1)  # after the feed, before the tombstone

    code, occurrences = await check(pipeline)
    topics = {name: count for (store, name), count in occurrences.items() if store == "topics"}
    assert (code, topics) == (
        1,
        {
            INTERACTIONS.name: 3, PROFILES.name: 2, FEEDS.name: 2, FEATURES.name: 1, PUSH_TOKENS.name: 2,
            DEAD_LETTERS.name: 2, USERS_CHANGELOG: 2, TOKENS_CHANGELOG: 1, "erasure-requests.v1": 1,
        },
    )  # fmt: skip
    assert any(store == "files" for store, _ in occurrences)

    code, _, err = await pipeline.millrace("purge", "--restart-kafka", **ENV)
    assert code == 0, err
    assert "1 tombstones and requests stay" in err
    code, occurrences = await check(pipeline)
    assert (code, {place: count for place, count in occurrences.items() if place[0] == "topics"}) == (
        1,
        {("topics", FEEDS.name): 1},
    )
    assert await records_of_other(pipeline) == other_before

    await asyncio.to_thread(commit_feeds, pipeline, 2)
    code, _, err = await pipeline.millrace("purge", "--restart-kafka", **ENV)
    assert code == 0, err
    assert await check(pipeline) == (0, {})
    assert await records_of_other(pipeline) == other_before
