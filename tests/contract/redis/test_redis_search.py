"""The search of Redis: every type of key, by name and content, and the log of slow commands."""

from __future__ import annotations

from redis.asyncio import Redis

from infra.erasure.occurrences.id_pattern import IdPattern
from infra.erasure.occurrences.redis_search import SLOW_COMMANDS, search_redis
from infra.erasure.purge.store_purge import purge_redis
from infra.redis.stores.feed_store import RedisFeedStore
from tests.build import a_feed

PATTERN = IdPattern("erase-me-7f3a")


async def counts(redis: Redis) -> dict[str, int]:
    return dict(await search_redis(redis, PATTERN, on_progress=lambda _count, _total: None))


async def test_an_id_is_found_in_every_type_of_key(redis: Redis) -> None:
    user = PATTERN.user_id
    await redis.set("text", f"of {user}")
    await redis.set(f"feed:{user}", "x")
    await redis.rpush("list", *["x"] * 1_500, user)  # type: ignore[misc]
    await redis.hset("hash", mapping={user: "x", "y": user})  # type: ignore[misc]
    await redis.sadd("set", user)  # type: ignore[misc]
    await redis.zadd("sorted", {user: 1.0})
    for number in range(1_200):
        await redis.xadd("stream", {"user": user if number in (3, 1_100) else "x"})
    await redis.set("other", "of somebody")
    assert await counts(redis) == {
        "text": 1, "feed:{user}": 1, "list": 1, "hash": 2, "set": 1, "sorted": 1, "stream": 2,
    }  # fmt: skip


async def test_an_id_is_found_in_a_feed_that_is_compressed(redis: Redis) -> None:
    items = [f"{PATTERN.user_id}-{number}" for number in range(200)]
    await RedisFeedStore(redis).write([a_feed(user_id="kim", items=items)])
    assert set(await counts(redis)) == {"feed:kim"}


async def test_slow_commands_are_found_and_purged(redis: Redis) -> None:
    await redis.config_set("slowlog-log-slower-than", 0)
    try:
        await redis.get(PATTERN.user_id)
        assert SLOW_COMMANDS in await counts(redis)
    finally:
        await redis.config_set("slowlog-log-slower-than", 10_000)
    assert await purge_redis(redis) == []
    assert await counts(redis) == {}
