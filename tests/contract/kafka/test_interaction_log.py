"""One suite for every interaction log: what holds in memory holds in Redis."""

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from domain.timestamp import HOUR_MS
from infra.redis.connection import StoreError, connect
from infra.redis.stores.interaction_log import (
    MAX_EVENTS,
    PUBLISHED_TTL_S,
    InteractionLog,
    MemoryInteractionLog,
    RedisInteractionLog,
)
from tests.build import T0_MS, an_interaction

NOW_S = T0_MS / 1_000


@pytest.fixture(params=("memory", "redis"))
def log(request: pytest.FixtureRequest, redis: Redis) -> InteractionLog:
    def clock_s() -> float:
        return NOW_S

    return (
        MemoryInteractionLog(clock_s=clock_s)
        if request.param == "memory"
        else RedisInteractionLog(redis, clock_s=clock_s)
    )


async def test_what_a_user_did_comes_back_newest_first(log: InteractionLog) -> None:
    events = [an_interaction(occurred_at=T0_MS - n * HOUR_MS, context={"surface": "home"}) for n in range(3)]
    await log.write([*reversed(events), an_interaction(user_id="u2", occurred_at=T0_MS)])
    assert await log.read("u1") == events
    assert len(await log.read("u2")) == 1
    assert await log.read("nobody") == []


async def test_a_repeat_changes_nothing_and_nothing_is_no_error(log: InteractionLog) -> None:
    event = an_interaction(occurred_at=T0_MS)
    await log.write([event])
    await log.write([event])
    await log.write([])
    assert await log.read("u1") == [event]


async def test_ids_are_those_of_a_users_events(log: InteractionLog) -> None:
    events = [an_interaction(event_id="1", user_id=user_id, occurred_at=T0_MS) for user_id in ("u1", "u2")]
    await log.write(events)
    assert [await log.read(event.user_id) for event in events] == [[event] for event in events]


async def test_a_large_context_is_left_out(log: InteractionLog) -> None:
    small = an_interaction(occurred_at=T0_MS, context={"page": "x" * 1_000})
    large = an_interaction(occurred_at=T0_MS - 1, context={f"{n}": "語" * 4_000 for n in range(20)}, query="q")
    await log.write([large, small])
    assert await log.read("u1") == [small, replace(large, context={})]


async def test_a_day_later_it_is_forgotten(log: InteractionLog) -> None:
    old, young = (an_interaction(occurred_at=T0_MS - hours * HOUR_MS) for hours in (24, 23))
    await log.write([old, young])
    assert await log.read("u1") == [young]


async def test_the_newest_are_kept_of_who_does_much(log: InteractionLog) -> None:
    events = [an_interaction(occurred_at=T0_MS - n) for n in range(MAX_EVENTS + 10)]
    await log.write(events)
    assert await log.read("u1") == events[:MAX_EVENTS]


async def test_the_offset_of_the_last_publication_is_kept_by_user(log: InteractionLog) -> None:
    assert await log.read_offset("u1") == -1
    for offset in (7, 9):
        await log.write_offset("u1", offset)
    assert (await log.read_offset("u1"), await log.read_offset("u2"), await log.read("u1")) == (9, -1, [])


async def test_an_offset_goes_by_itself(redis: Redis) -> None:
    await RedisInteractionLog(redis).write_offset("u1", 7)
    assert 0 < await redis.ttl("published_interaction:u1") <= PUBLISHED_TTL_S


async def test_the_key_is_the_documented_one_and_goes_by_itself(redis: Redis) -> None:
    await RedisInteractionLog(redis, clock_s=lambda: NOW_S).write([an_interaction(occurred_at=T0_MS)])
    assert 0 < await redis.ttl("interaction_log:u1") <= 86_400


async def test_an_away_redis_is_a_store_error() -> None:
    away = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreError):
        await RedisInteractionLog(away).read("u1")
    await away.aclose()
