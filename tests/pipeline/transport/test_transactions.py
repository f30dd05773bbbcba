"""What a transaction aborts counts nowhere, and nobody waits for what it leaves in the log."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from confluent_kafka import Producer

from infra import clock
from infra.address import Addresses
from infra.health import status
from infra.kafka.partition import partition_of
from infra.kafka.readers import dead_letter_replay
from infra.kafka.readers.dead_letter_replay import DeadLetterFilter
from infra.kafka.readers.topic_tail import last
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.settings import Settings
from schemas.types import Interaction
from tests.build import a_fetch_request, a_profile, a_trigger, an_interaction, an_item, stats
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics import Topic
from topics.topic import (
    DEAD_LETTERS,
    FETCH_REQUESTS,
    INTERACTIONS,
    ITEM_STATS,
    ITEMS,
    MODEL_VERSIONS,
    PARTITIONS,
    PROFILES,
    TRIGGERS,
)

DEADLINE_S = 120.0


def one_each() -> list[str]:
    """Return a user of each partition."""
    users: dict[int, str] = {}
    for number in range(1_000):
        users.setdefault(partition_of(f"u{number}".encode(), PARTITIONS), f"u{number}")
    return list(users.values())


USERS = one_each()


class Transactions:
    """A producer of another team's."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.producer = Producer(
            {
                "bootstrap.servers": pipeline.addresses.kafka_bootstrap_servers,
                "transactional.id": uuid.uuid4().hex,
                "partitioner": "murmur2_random",
            }
        )
        self.producer.init_transactions(DEADLINE_S)

    def begin(self, topic: Topic, values: Iterable[Any]) -> None:
        codec = self._pipeline.registry.codec(topic.record)
        self.producer.begin_transaction()
        for value in values:
            self.producer.produce(topic.name, codec.encode(value), topic.key_of(value))
        self.producer.flush()

    def commit(self, topic: Topic, values: Iterable[Any]) -> None:
        self.begin(topic, values)
        self.producer.commit_transaction(DEADLINE_S)

    def abort(self, topic: Topic, values: Iterable[Any]) -> None:
        self.begin(topic, values)
        self.producer.abort_transaction(DEADLINE_S)


def clicks(users: Sequence[str], item_id: str, times: int = 1) -> list[Interaction]:
    return [
        an_interaction(event_id=uuid.uuid4().hex, user_id=user_id, item_id=item_id, occurred_at=clock.now_ms())
        for user_id in users
        for _ in range(times)
    ]


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await asked(pipeline, "DELETE FROM interactions WHERE item_id LIKE 'tx-%'")
        yield pipeline


async def asked(pipeline: Pipeline, query: str) -> Any:
    connection = await asyncpg.connect(pipeline.addresses.database_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def archived(pipeline: Pipeline) -> int:
    return int(await asked(pipeline, "SELECT count(*) FROM interactions WHERE item_id LIKE 'tx-%'"))


async def test_what_is_aborted_counts_nowhere_and_is_waited_for_nowhere(pipeline: Pipeline) -> None:
    out = await asyncio.to_thread(Transactions, pipeline)
    everywhere = [an_item(f"i{n}") for n in range(60)]
    await asyncio.to_thread(out.commit, ITEMS, everywhere)
    # Each partition of each topic that is read ends in what was aborted, before anybody reads it.
    items = [an_item(f"gone-{n}") for n in range(60)]
    await asyncio.to_thread(out.abort, ITEMS, items)
    await asyncio.to_thread(out.abort, ITEM_STATS, [stats(f"gone-{n}", counts={"like": 9}) for n in range(60)])
    await asyncio.to_thread(out.abort, PROFILES, [a_profile(user_id=user, segment="gone") for user in USERS])
    await asyncio.to_thread(out.abort, TRIGGERS, [a_trigger(user_id=user) for user in USERS])
    await asyncio.to_thread(out.abort, FETCH_REQUESTS, [a_fetch_request(user_id=user) for user in USERS])
    await asyncio.to_thread(out.commit, INTERACTIONS, clicks(USERS, "tx-1"))
    await asyncio.to_thread(out.abort, INTERACTIONS, clicks(USERS, "tx-gone", 3))
    feed, others = (
        await pipeline.start("feed"),
        await pipeline.start("trainer,links,archive,log,shop,push,fetch,collect"),
    )
    await pipeline.settle()
    assert {user: entries.event_count for user, entries in (await pipeline.features()).items()} == dict.fromkeys(
        USERS, 1
    )
    # While all read along, too: aborted after the last committed one, and before the next.
    for number in (2, 3):
        await asyncio.to_thread(out.abort, INTERACTIONS, clicks(USERS, "tx-gone", 2))
        await asyncio.to_thread(out.commit, INTERACTIONS, clicks(USERS, f"tx-{number}"))
        await asyncio.to_thread(out.abort, INTERACTIONS, clicks(USERS, "tx-gone", 50))
    await pipeline.settle()
    features_by_user = await pipeline.features()
    assert {user: features_by_user[user].event_count for user in USERS} == dict.fromkeys(USERS, 3)
    assert {user: features_by_user[user].segment for user in USERS} == dict.fromkeys(USERS, "")
    counts = {item: entries.counts for item, entries in (await pipeline.stats()).items() if item.startswith("tx")}
    assert counts == {f"tx-{n}": {"click": len(USERS)} for n in (1, 2, 3)}

    async def in_the_archive() -> bool:
        return await archived(pipeline) == 3 * len(USERS)

    await until(in_the_archive, what="the archive holds what was committed")

    async def in_the_log() -> bool:
        entries = [await RedisInteractionLog(pipeline.redis).read(user) for user in USERS]
        return [sorted(str(event.item_id) for event in mine) for mine in entries] == [["tx-1", "tx-2", "tx-3"]] * 8

    await until(in_the_log, what="the log holds what was committed")

    async def caught_up() -> bool:
        lag = (await status.read(pipeline.addresses.apply_to(Settings()))).lag
        return len(lag) >= 5 and not any(count for topics in lag.values() for count in topics.values())

    await until(caught_up, what="no group lags behind what was aborted")
    [role] = [role for role in await pipeline.roles() if role["role"] == "feed"]
    assert role["items"] == 60 + 3, "nothing of what was aborted is in the view"
    assert await archived(pipeline) == 3 * len(USERS)
    assert await pipeline.dead_letters() == []
    assert (feed.returncode, others.returncode) == (None, None)


async def test_an_open_transaction_is_not_waited_for(pipeline: Pipeline) -> None:
    out = await asyncio.to_thread(Transactions, pipeline)
    await pipeline.start("feed")
    await pipeline.start("trainer,links,archive,log")
    await pipeline.publish(INTERACTIONS, clicks(USERS, "tx-1"))
    await pipeline.settle()
    await asyncio.to_thread(out.begin, INTERACTIONS, clicks(USERS, "tx-open", 400))
    await pipeline.settle()
    assert {user_features.event_count for user_features in (await pipeline.features()).values()} == {1}
    await asyncio.to_thread(out.producer.abort_transaction, DEADLINE_S)
    await pipeline.publish(INTERACTIONS, clicks(USERS, "tx-2"))
    await pipeline.settle()
    assert {user_features.event_count for user_features in (await pipeline.features()).values()} == {2}


async def test_a_worker_starts_over_logs_that_end_in_what_was_aborted(pipeline: Pipeline) -> None:
    out = await asyncio.to_thread(Transactions, pipeline)
    await pipeline.start("feed")
    await pipeline.start("trainer,links")
    await pipeline.publish(INTERACTIONS, clicks(USERS, "tx-1"))
    await pipeline.settle()
    for process in pipeline._processes:
        await pipeline.stop(process)
    for topic, values in (
        (INTERACTIONS, clicks(USERS, "tx-gone")),
        (ITEMS, [an_item(f"gone-{n}") for n in range(60)]),
        (ITEM_STATS, [stats(f"gone-{n}") for n in range(60)]),
    ):
        await asyncio.to_thread(out.abort, topic, values)
    versions = await pipeline.newest(MODEL_VERSIONS)
    await asyncio.to_thread(out.abort, MODEL_VERSIONS, [*versions.values()])
    await pipeline.start("feed")
    await pipeline.start("trainer,links")
    await pipeline.publish(INTERACTIONS, clicks(USERS, "tx-2"))
    await pipeline.settle()
    assert {user_features.event_count for user_features in (await pipeline.features()).values()} == {2}


async def test_people_who_look_see_what_was_committed_and_do_not_wait(pipeline: Pipeline) -> None:
    out = await asyncio.to_thread(Transactions, pipeline)
    servers = pipeline.addresses.kafka_bootstrap_servers
    await asyncio.to_thread(out.commit, INTERACTIONS, clicks(USERS, "tx-1"))
    await asyncio.to_thread(out.abort, INTERACTIONS, clicks(USERS, "tx-gone"))
    async with asyncio.timeout(20):
        result = await last(servers, pipeline.registry, INTERACTIONS, count=None)
    assert [entry.value.item_id for entry in result] == ["tx-1"] * len(USERS)
    pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", b"no record")
    await pipeline.publisher.flush()
    worker, _ = await pipeline.start("feed"), await pipeline.start("trainer,links")
    await pipeline.settle()
    letters = await pipeline.newest(DEAD_LETTERS)
    await asyncio.to_thread(out.abort, DEAD_LETTERS, [*letters.values()])
    began_s = asyncio.get_running_loop().time()
    waiting = await asyncio.to_thread(
        dead_letter_replay.open_dead_letters, servers, pipeline.registry, DeadLetterFilter()
    )
    assert [(letter.stage, letter.reason, letter.detail[:40]) for letter in waiting] == [
        ("user.decode", "bad_frame", "the first byte is 110, not 0: not Conflu")
    ]
    assert asyncio.get_running_loop().time() - began_s < 9, "the end is known, and not waited for"
    assert worker.returncode is None
