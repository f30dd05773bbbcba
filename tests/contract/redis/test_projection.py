"""The notes of what a store holds, in both stores: they go with what they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from cli.commands.stack.worker import ROLES
from infra.address import Addresses
from infra.postgres.pool import open_pool
from infra.redis.connection import StoreError, connect
from infra.redis.projection import (
    DATABASE_ROLES,
    REDIS_ROLES,
    PostgresProjection,
    Projection,
    RedisProjection,
    partition_name,
)
from topics.topic import FEEDS, ITEMS

NAMES = [partition_name(ITEMS, number) for number in range(3)]


@dataclass
class ProjectionUnderTest:
    """A store's notes, and how to lose them."""

    notes: Projection
    lose: Any


@pytest.fixture(params=["redis", "postgresql"])
async def projection(stack: Addresses, request: pytest.FixtureRequest) -> AsyncIterator[ProjectionUnderTest]:
    if request.param == "redis":
        redis = connect(stack.redis_url.removesuffix("/0") + "/9")
        await redis.flushdb()
        yield ProjectionUnderTest(RedisProjection(redis), redis.flushdb)
        await redis.aclose()
    else:
        pool = await open_pool(stack.database_url)
        await pool.execute("DELETE FROM projected")
        yield ProjectionUnderTest(PostgresProjection(pool), lambda: pool.execute("TRUNCATE projected"))
        await pool.execute("DELETE FROM projected")
        await pool.close()


async def test_what_was_noted_is_not_missing(projection: ProjectionUnderTest) -> None:
    assert await projection.notes.missing(NAMES) == set(NAMES)
    await projection.notes.begin(NAMES[:2])
    assert await projection.notes.missing(NAMES) == set(NAMES)
    await projection.notes.complete(NAMES)
    await projection.notes.complete(NAMES[:2])
    assert await projection.notes.missing(NAMES) == {NAMES[2]}
    await projection.notes.begin(NAMES[:1])
    assert await projection.notes.missing(NAMES) == {NAMES[0], NAMES[2]}
    await projection.lose()
    assert await projection.notes.missing(NAMES) == set(NAMES)


async def test_nothing_is_asked_and_noted_without_names(projection: ProjectionUnderTest) -> None:
    assert await projection.notes.missing([]) == set()
    await projection.notes.begin([])
    await projection.notes.complete([])


async def test_a_store_that_lost_its_data_during_a_refill_is_not_complete(projection: ProjectionUnderTest) -> None:
    await projection.notes.begin(NAMES)
    await projection.lose()
    await projection.notes.complete(NAMES)
    assert await projection.notes.missing(NAMES) == set(NAMES)


async def test_a_topic_or_all_can_be_forgotten(projection: ProjectionUnderTest) -> None:
    feed = partition_name(FEEDS, 0)
    await projection.notes.begin([*NAMES, feed])
    await projection.notes.complete([*NAMES, feed])
    await projection.notes.forget(ITEMS)
    assert await projection.notes.missing([*NAMES, feed]) == set(NAMES)
    await projection.notes.forget()
    assert await projection.notes.missing([feed]) == {feed}


async def test_a_store_that_is_away_says_so() -> None:
    redis = connect("redis://127.0.0.1:9/0")
    pool = await open_pool("postgresql://nobody@127.0.0.1:9/none", ready=0)
    for notes in (RedisProjection(redis), PostgresProjection(pool)):
        with pytest.raises(StoreError):
            await notes.missing(NAMES)
    await redis.aclose()
    pool.terminate()


def test_every_topic_that_fills_a_store_has_one_role_that_does() -> None:
    assert {*REDIS_ROLES.values(), *DATABASE_ROLES.values()} <= set(ROLES)
