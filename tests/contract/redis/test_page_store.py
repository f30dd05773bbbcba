"""One suite for every page store: what holds in memory holds in Redis."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from infra.redis.connection import StoreError, connect
from infra.redis.stores.page_store import (
    KEY,
    MAX_SESSIONS,
    TTL_S,
    MemoryPageStore,
    PageEntry,
    PageSession,
    PageStore,
    RedisPageStore,
)


@pytest.fixture(params=("memory", "redis"))
def pages(request: pytest.FixtureRequest, redis: Redis) -> PageStore:
    return MemoryPageStore() if request.param == "memory" else RedisPageStore(redis)


def a_session(listing: str = "feed", cursor: str = "c1", *entries: PageEntry) -> PageSession:
    return PageSession(listing, cursor, list(entries or (PageEntry("i1", 0.5, "Because"), PageEntry("日本/雑誌"))))


async def test_sessions_come_back_the_last_first(pages: PageStore) -> None:
    assert await pages.read("ann") == []
    one, other = a_session(), a_session("trending", "c2")
    await pages.write("ann", one)
    await pages.write("ann", other)
    await pages.write("bob", one)
    assert await pages.read("ann") == [other, one]
    assert await pages.read("bob") == [one]


async def test_a_session_that_goes_on_takes_the_place_of_what_it_was(pages: PageStore) -> None:
    one, other = a_session(), a_session("trending", "c2")
    longer = a_session("feed", "c1", *one.entries, PageEntry("i3"))
    await pages.write("ann", one)
    await pages.write("ann", other)
    await pages.write("ann", longer, instead_of=one)
    assert await pages.read("ann") == [longer, other]


async def test_the_last_few_are_kept(pages: PageStore) -> None:
    sessions = [a_session(cursor=f"c{number}") for number in range(3 * MAX_SESSIONS)]
    for session in sessions:
        await pages.write("ann", session)
    assert await pages.read("ann") == sessions[::-1][:MAX_SESSIONS]


async def test_they_go_by_themselves(redis: Redis) -> None:
    await RedisPageStore(redis).write("ann", a_session())
    assert 0 < await redis.ttl(f"{KEY}ann") <= TTL_S


async def test_an_away_redis_is_a_store_error() -> None:
    away = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreError):
        await RedisPageStore(away).read("ann")
    with pytest.raises(StoreError):
        await RedisPageStore(away).write("ann", a_session())
    await away.aclose()
