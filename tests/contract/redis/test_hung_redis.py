"""A Redis that hangs: the API answers 503 soon, then at once, and serves again when Redis answers."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.health import health_check
from infra.local.port import free_ports
from infra.local.servers.redis import RedisServer
from infra.redis.connection import connect_fail_fast
from infra.redis.rate_counter import rate_limit_storage
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.user_profile_store import RedisUserProfileStore
from tests.build import a_feed, an_item
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer
from tests.waiting import until

TIMEOUT_S = 0.8  # as in the settings
DEADLINE_S = 20.0
UNCACHED = {"api_cache_mb": 0.0}
"""Every read goes to Redis, as it does two seconds after Redis has hung."""
READS = ("/content?user_id=u1", "/interaction/u1", "/results/u1", "/items/i9", "/push/preferences/u1", "/profile/u1")


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[str, int]]:
    """The address and the process id of a Redis of our own."""
    redis = RedisServer(tmp_path_factory.mktemp("redis"), free_ports(1)[0], password="sesame")
    await redis.prepare()
    process = await asyncio.create_subprocess_exec(*redis.command().argv, stdin=DEVNULL, stdout=DEVNULL)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(RedisError):
                await redis.check()
                break
            await asyncio.sleep(0.02)
    yield redis.url, process.pid
    os.kill(process.pid, signal.SIGCONT)
    process.terminate()
    await process.wait()


@pytest.fixture
async def client(server: tuple[str, int]) -> AsyncIterator[Redis]:
    client = connect_fail_fast(server[0], timeout_s=TIMEOUT_S)
    yield client
    await client.aclose()


@contextmanager
def hung(pid: int) -> Iterator[None]:
    """Hold a process."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def a_world(client: Redis) -> World:
    return World(
        feeds=RedisFeedStore(client),  # type: ignore[arg-type]
        items=RedisItemStore(client),  # type: ignore[arg-type]
        health_checks={"redis": health_check.redis(client)},
        clients={
            "interactions": RedisInteractionLog(client),
            "push_store": RedisPushStore(client),
            "user_profiles": RedisUserProfileStore(client),
            "rate_limit_storage": rate_limit_storage(client),
        },
    )


async def timed(http: httpx.AsyncClient, path: str, **value: Any) -> tuple[httpx.Response, float]:
    began_s = time.monotonic()
    answer = await http.get(path, **value)
    return answer, time.monotonic() - began_s


async def serves_again(http: httpx.AsyncClient, path: str = "/content?user_id=u1") -> None:
    async with asyncio.timeout(DEADLINE_S):
        while (await http.get(path)).status_code != 200:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("path", READS)
async def test_a_read_is_answered_soon_while_redis_hangs(server: tuple[str, int], client: Redis, path: str) -> None:
    world = a_world(client)
    await world.feeds.write([a_feed()])
    async with world.http(**UNCACHED) as http:
        await serves_again(http)
        with hung(server[1]):
            answer, took_s = await timed(http, path)
        await serves_again(http)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")
    assert int(answer.headers["Retry-After"]) > 0
    assert took_s < 1.9 * TIMEOUT_S  # it waits once, and not again with a retry


async def test_a_feed_that_is_kept_is_not_answered_for_long_while_redis_hangs(
    server: tuple[str, int], client: Redis
) -> None:
    world = a_world(client)
    await world.feeds.write([a_feed()])
    async with world.http() as http:

        async def is_refused() -> bool:
            return (await http.get("/content?user_id=u1")).status_code == 503

        await serves_again(http)
        with hung(server[1]):
            await until(is_refused, timeout_s=DEADLINE_S)
        await serves_again(http)


async def test_a_redis_that_hangs_is_left_alone_until_it_answers_again(server: tuple[str, int], client: Redis) -> None:
    world = a_world(client)
    await world.feeds.write([a_feed()])
    await world.items.write([an_item("i1")])
    async with world.http(**UNCACHED) as http:
        with hung(server[1]):
            first = [await timed(http, "/content?user_id=u1") for _ in range(3)]
            began_s = time.monotonic()
            then = [await timed(http, f"/content?user_id=u{number}") for number in range(60)]
            took_s = time.monotonic() - began_s
            health, _ = await timed(http, "/health")
            (write_answer, _), (publish_answer, _) = (
                (await timed(http, "/interaction/u1")),
                (await timed(http, "/metrics")),
            )
        await serves_again(http, "/health")
    assert {answer.status_code for answer, _ in (*first, *then)} == {503}
    assert took_s < 60 * TIMEOUT_S / 4  # each would wait by itself
    assert (health.status_code, health.json()["status"]) == (503, "down")
    assert (write_answer.status_code, publish_answer.status_code) == (503, 200)


async def test_many_reads_at_once_wait_beside_each_other(server: tuple[str, int], client: Redis) -> None:
    world = a_world(client)
    await world.feeds.write([a_feed()])
    async with world.http(**UNCACHED) as http:
        with hung(server[1]):
            began_s = time.monotonic()
            answers = await asyncio.gather(*(http.get(f"/content?user_id=u{number}") for number in range(200)))
            took_s = time.monotonic() - began_s
        await serves_again(http)
    assert {answer.status_code for answer in answers} == {503}
    assert took_s < 10 * TIMEOUT_S


async def test_where_callers_are_counted_they_wait_for_the_counters_once(
    server: tuple[str, int], client: Redis
) -> None:
    world = a_world(client)
    await world.feeds.write([a_feed(user_id="ann")])
    async with world.http(**STRICT, **UNCACHED, rate_limit_user="9/minute", rate_limit_address="9/minute") as http:
        assert (await http.get("/content?user_id=ann", headers=bearer(a_token()))).status_code == 200
        with hung(server[1]):
            answer, took_s = await timed(http, "/content?user_id=ann", headers=bearer(a_token()))
            health = (await http.get("/health")).json()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")
    assert took_s < 0.3 + 3 * TIMEOUT_S
    assert health["rate_limits"] == "blind"


async def test_a_pipeline_goes_through_the_same_breaker(server: tuple[str, int], client: Redis) -> None:
    await client.set("k", 1)
    with hung(server[1]):
        for _ in range(3):
            with pytest.raises(RedisError):
                await client.get("k")
        with pytest.raises(RedisError, match="left alone"):
            await client.pipeline(transaction=False).get("k").get("k").execute()
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(RedisError):
                assert await client.pipeline(transaction=False).get("k").execute() == [b"1"]
                break
            await asyncio.sleep(0.02)


async def test_a_command_that_redis_refuses_does_not_open_the_breaker(client: Redis) -> None:
    await client.set("word", "x")
    for _ in range(10):
        with pytest.raises(RedisError, match="not an integer"):
            await client.incr("word")
    assert await client.get("word") == b"x"
