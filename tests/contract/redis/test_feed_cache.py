"""The cache of feeds on a real Redis: no answer is older than a change whose notice has arrived."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Redis

from infra.redis.connection import StoreError
from infra.redis.feed_cache import FeedCache
from infra.redis.stores.feed_codec import version_order
from infra.redis.stores.feed_store import KEY, OnChange, RedisFeedStore
from tests.build import a_feed
from tests.waiting import until


class Counting(RedisFeedStore):
    """Counts the reads and the notices, and can hold back the answer of a read."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.read_count = 0
        self.changed_ids: list[str] = []
        self.gaps = 0
        self.signs = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def read_packed(self, user_ids: Sequence[str]) -> list[bytes | None]:
        self.read_count += 1
        values = await super().read_packed(user_ids)
        await self.answers.wait()
        return values

    async def follow(self, on_change: OnChange) -> None:
        def noted(user_ids: Sequence[str] | None) -> None:
            on_change(user_ids)
            self.gaps += user_ids is None
            self.signs += user_ids == []
            self.changed_ids += user_ids or []

        await super().follow(noted)


@pytest.fixture
async def store(redis: Redis) -> AsyncIterator[Counting]:
    store = Counting(redis)
    yield store
    await store.close()


@pytest.fixture
async def cache(store: Counting) -> AsyncIterator[FeedCache]:
    cache = FeedCache(store, capacity_bytes=100_000)
    following = asyncio.create_task(cache.follow())
    await until(lambda: store.gaps)
    yield cache
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def version_of(cache: FeedCache, user_id: str = "u1") -> bytes | None:
    [data], _ = await cache.read([user_id])
    return None if data is None else data[: len(version_order(a_feed()))]


async def test_a_feed_is_read_once_until_it_changes(store: Counting, cache: FeedCache) -> None:
    await store.write([a_feed()])
    await until(lambda: store.changed_ids == ["u1"])
    assert await version_of(cache) == await version_of(cache) == version_order(a_feed())
    assert await version_of(cache, "nobody") is await version_of(cache, "nobody") is None
    assert store.read_count == 2, "a user without a feed is remembered, too"
    newer = a_feed(features_version=6)
    await store.write([newer])
    await until(lambda: store.changed_ids == ["u1", "u1"])
    assert await version_of(cache) == version_order(newer)


async def test_the_notice_of_a_write_arrives_in_a_moment_and_no_read_after_it_is_older(
    store: Counting, cache: FeedCache
) -> None:
    for number in range(200):
        feed = a_feed(features_version=10 + number)
        await version_of(cache)
        await store.write([feed])
        await until(lambda: store.changed_ids[-1:] == ["u1"], timeout_s=1.0)
        assert await version_of(cache) == version_order(feed)
        store.changed_ids.clear()


@pytest.mark.parametrize("change", ["delete", "expire", "flush"])
async def test_a_feed_that_leaves_the_store_in_any_way_leaves_the_cache(
    redis: Redis, store: Counting, cache: FeedCache, change: str
) -> None:
    await store.write([a_feed()])
    assert await version_of(cache) is not None
    if change == "delete":
        await redis.delete(f"{KEY}u1")
    elif change == "expire":
        await redis.pexpire(f"{KEY}u1", 1)
    else:
        await redis.flushdb()

    async def is_gone() -> bool:
        return await version_of(cache) is None

    await until(is_gone)


async def test_what_a_read_brings_is_not_kept_where_it_has_changed_meanwhile(store: Counting, cache: FeedCache) -> None:
    await store.write([a_feed()])
    await until(lambda: store.changed_ids == ["u1"])
    store.answers.clear()
    reading = asyncio.create_task(version_of(cache))
    await until(lambda: store.read_count == 1)
    newer = a_feed(features_version=6)
    await store.write([newer])
    await until(lambda: store.changed_ids == ["u1", "u1"])
    store.answers.set()
    await reading
    assert await version_of(cache) == version_order(newer)


async def test_nothing_is_taken_from_the_cache_while_no_notices_come(redis: Redis, store: Counting) -> None:
    now_s = 0.0
    cache = FeedCache(store, capacity_bytes=100_000, clock_s=lambda: now_s)
    following = asyncio.create_task(cache.follow())
    await until(lambda: store.gaps)
    await cache.read(["u1"])
    await cache.read(["u1"])
    assert store.read_count == 1
    now_s = 2.1
    await cache.read(["u1"])
    assert store.read_count == 2, "silent for more than two seconds"
    signs = store.signs
    await until(lambda: store.signs > signs)
    await cache.read(["u1"])
    assert store.read_count == 2, "a quiet connection is alive"
    following.cancel()


async def test_a_lost_connection_empties_the_cache_and_is_made_again(
    redis: Redis, store: Counting, cache: FeedCache
) -> None:
    await store.write([a_feed()])
    await version_of(cache)
    clients: list[dict[str, Any]] = await redis.client_list(_type="pubsub")
    await redis.client_kill(clients[-1]["addr"])
    newer = a_feed(features_version=6)
    await store.write([newer])
    await until(lambda: store.gaps == 2)
    assert await version_of(cache) == version_order(newer)
    count = store.read_count
    await version_of(cache)
    assert store.read_count == count, "it is kept again"


async def test_the_least_recently_read_feeds_make_room(store: Counting, cache: FeedCache) -> None:
    users = [f"u{number}" for number in range(500)]
    await cache.read(users)
    await cache.read(["u499"])
    assert store.read_count == 1
    await cache.read(["u0"])
    assert store.read_count == 2, "the room is that of 400 empty entries"


async def test_a_store_that_does_not_answer_says_so(unused_tcp_port: int) -> None:
    redis = Redis(port=unused_tcp_port)
    with pytest.raises(StoreError):
        await RedisFeedStore(redis).follow(lambda _: None)
    await redis.aclose()
