"""The notes of what a store holds, in both stores: they go with what they are about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from cli.commands.stack.worker import ROLES
from infra.address import Addresses
from infra.postgres import pool as database
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
class Held:
    """A store's notes, and how to lose them."""

    notes: Projection
    lose: Any


@pytest.fixture(params=["redis", "postgresql"])
async def held(stack: Addresses, request: pytest.FixtureRequest) -> AsyncIterator[Held]:
    if request.param == "redis":
        redis = connect(stack.redis_url.removesuffix("/0") + "/9")
        await redis.flushdb()
        yield Held(RedisProjection(redis), redis.flushdb)
        await redis.aclose()
    else:
        pool = await database.connect(stack.database_url)
        await pool.execute("DELETE FROM projected")
        yield Held(PostgresProjection(pool), lambda: pool.execute("TRUNCATE projected"))
        await pool.execute("DELETE FROM projected")
        await pool.close()


async def test_what_was_noted_is_not_missing(held: Held) -> None:
    assert await held.notes.missing(NAMES) == set(NAMES)
    await held.notes.add(NAMES[:2])
    await held.notes.add(NAMES[:2])
    assert await held.notes.missing(NAMES) == {NAMES[2]}
    await held.lose()
    assert await held.notes.missing(NAMES) == set(NAMES)


async def test_nothing_is_asked_and_noted_without_names(held: Held) -> None:
    assert await held.notes.missing([]) == set()
    await held.notes.add([])


async def test_a_topic_or_all_can_be_forgotten(held: Held) -> None:
    feed = partition_name(FEEDS, 0)
    await held.notes.add([*NAMES, feed])
    await held.notes.forget(ITEMS)
    assert await held.notes.missing([*NAMES, feed]) == set(NAMES)
    await held.notes.forget()
    assert await held.notes.missing([feed]) == {feed}


async def test_a_store_that_is_away_says_so() -> None:
    redis = connect("redis://127.0.0.1:9/0")
    pool = await database.connect("postgresql://nobody@127.0.0.1:9/none", ready=0)
    for notes in (RedisProjection(redis), PostgresProjection(pool)):
        with pytest.raises(StoreError):
            await notes.missing(NAMES)
    await redis.aclose()
    pool.terminate()


def test_every_topic_that_fills_a_store_has_one_role_that_does() -> None:
    assert {*REDIS_ROLES.values(), *DATABASE_ROLES.values()} <= set(ROLES)
