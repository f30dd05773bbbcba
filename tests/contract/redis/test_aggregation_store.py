"""One suite for every store of secure aggregations: what holds in memory holds in Redis, whoever moves the rounds."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from redis.asyncio import Redis

from infra.address import Addresses
from infra.privacy.aggregation_store import (
    KEPT_MS,
    MAX_OPEN,
    OPEN_KEY,
    AggregationStore,
    AggregationTerms,
    MemoryAggregationStore,
    Outcome,
    RedisAggregationStore,
    RoundMessage,
)
from infra.redis.connection import StoreError, connect
from tests.build import T0_MS

TERMS = AggregationTerms(counters=3, threshold=2, max_clients=3, round_ms=10_000)
NAMES = ("ann", "ben", "cleo")


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> AggregationStore:
    return MemoryAggregationStore() if request.param == "memory" else RedisAggregationStore(redis)


async def send(
    store: AggregationStore, number: int, user_id: str, content: bytes = b"m", *, now_ms: int = T0_MS
) -> Outcome:
    return await store.add("a1", RoundMessage(round=number, user_id=user_id, content=content), now_ms)


async def state(store: AggregationStore, now_ms: int = T0_MS) -> tuple[str, int]:
    aggregation = await store.read("a1", now_ms)
    assert aggregation is not None
    return aggregation.state, aggregation.clients


async def over(store: AggregationStore) -> None:
    """Take an aggregation of three clients through all rounds."""
    await store.create("a1", TERMS, T0_MS)
    for number in range(1, 5):
        for name in NAMES:
            assert await send(store, number, name) == "accepted"


async def test_a_round_ends_once_all_clients_have_sent_their_messages(store: AggregationStore) -> None:
    await store.create("a1", TERMS, T0_MS)
    for number, name in enumerate(("keys", "shares", "values", "reveals"), 1):
        for place, user_id in enumerate(NAMES):
            assert await state(store) == (name, place)
            assert await send(store, number, user_id) == "accepted"
    assert await state(store) == ("complete", 3)


async def test_a_round_ends_at_its_time_without_those_who_dropped_out(store: AggregationStore) -> None:
    await store.create("a1", TERMS, T0_MS)
    for name in NAMES:
        await send(store, 1, name)
    for name in NAMES[:2]:
        await send(store, 2, name)
    assert await state(store, T0_MS + 9_999) == ("shares", 2)
    end_ms = T0_MS + 10_000
    assert await send(store, 2, "cleo", now_ms=end_ms) == "wrong round"
    aggregation = await store.read("a1", end_ms, with_senders=True)
    assert aggregation is not None
    assert (aggregation.state, aggregation.closes_at) == ("values", end_ms + 10_000)
    assert [sorted(names) for names in aggregation.senders] == [list(NAMES), ["ann", "ben"], [], []]
    assert await send(store, 3, "cleo", now_ms=end_ms) == "stranger"


async def test_a_round_with_too_few_clients_ends_the_aggregation_and_forgets_it(store: AggregationStore) -> None:
    await store.create("a1", TERMS, T0_MS)
    await send(store, 1, "ann")
    assert await state(store, T0_MS + 10_000) == ("failed", 1)
    assert await store.messages("a1", 1) == {}
    assert await send(store, 1, "ben", now_ms=T0_MS + 10_000) == "wrong round"


async def test_a_message_is_taken_once_and_its_repetition_changes_nothing(store: AggregationStore) -> None:
    await store.create("a1", TERMS, T0_MS)
    outcomes = [await send(store, 1, "ann", content) for content in (b"one", b"one", b"other")]
    assert outcomes == ["accepted", "accepted", "repeated"]
    assert await store.messages("a1", 1) == {"ann": b"one"}
    for name in ("ben", "cleo"):
        await send(store, 1, name)
    assert await send(store, 1, "ann", b"one") == "accepted"  # a response that was lost, in a round that is over
    assert await send(store, 1, "dora") == "full"
    assert await send(store, 3, "ann") == "wrong round"
    assert await store.add("a2", RoundMessage(round=1, user_id="ann", content=b""), T0_MS) == "unknown"
    assert await store.read("a2", T0_MS) is None


async def test_shares_reach_their_receivers(store: AggregationStore) -> None:
    await store.create("a1", TERMS, T0_MS)
    for name in NAMES:
        await send(store, 1, name)
    for name in NAMES[:2]:
        shares = {other: f"{name} {other}".encode() for other in NAMES if other != name}
        await store.add("a1", RoundMessage(round=2, user_id=name, content=b"m", shares=shares), T0_MS)
    assert await store.shares_for("a1", "cleo", ["ann", "ben"]) == {"ann": b"ann cleo", "ben": b"ben cleo"}
    assert await store.shares_for("a1", "ann", ["ben", "cleo"]) == {"ben": b"ben ann"}
    assert await store.shares_for("a1", "ann", []) == {}


async def test_the_sum_takes_the_place_of_all_messages(store: AggregationStore) -> None:
    await over(store)
    assert await state(store) == ("complete", 3)
    assert await store.read_sum("a1") is None
    await store.finish("a1", [1, 2**64 - 1])
    await store.finish("a1", [3, 4])
    await store.finish("a1", None)
    assert await store.read_sum("a1") == [1, 2**64 - 1]
    assert await state(store) == ("complete", 3)
    assert [await store.messages("a1", number) for number in range(1, 5)] == [{}] * 4


async def test_wrong_shares_end_the_aggregation_without_a_sum(store: AggregationStore) -> None:
    await over(store)
    await state(store)
    await store.finish("a1", None)
    assert await state(store) == ("failed", 3)
    assert await store.read_sum("a1") is None


async def test_only_so_many_are_in_progress(store: AggregationStore) -> None:
    await over(store)
    assert [await store.create(f"b{number}", TERMS, T0_MS) for number in range(MAX_OPEN)] == [
        *([True] * (MAX_OPEN - 1)),
        False,
    ]
    await state(store)
    await store.finish("a1", [0])
    assert await store.create("c", TERMS, T0_MS)
    assert not await store.create("d", TERMS, T0_MS)


async def test_aggregations_that_nobody_moves_on_make_room_and_expire(redis: Redis) -> None:
    store = RedisAggregationStore(redis)
    for number in range(MAX_OPEN):
        await store.create(f"b{number}", TERMS, T0_MS)
    assert await store.create("late", TERMS, T0_MS + TERMS.round_ms + KEPT_MS)
    await store.create("a1", TERMS, T0_MS + TERMS.round_ms + KEPT_MS)
    for number, name in ((1, "ann"), (1, "ben"), (1, "cleo"), (2, "ann")):
        await send(store, number, name)
    ttls_ms = [await redis.pttl(key) for key in await redis.keys("aggregation:*")]
    assert len(ttls_ms) == MAX_OPEN + 4
    assert all(0 < ttl_ms <= TERMS.round_ms + KEPT_MS for ttl_ms in ttls_ms)
    assert await redis.zcard(OPEN_KEY) == 2


async def test_of_many_processes_one_ends_a_round_and_takes_the_last_place(stack: Addresses, redis: Redis) -> None:
    """Two clients at once send the messages of twenty users for three places, and the last of them end the round."""
    other_redis = connect(stack.redis_url.removesuffix("/0") + "/15")
    stores = [RedisAggregationStore(client) for client in (redis, other_redis)]
    await stores[0].create("a1", TERMS, T0_MS)
    outcomes = await asyncio.gather(*(send(stores[number % 2], 1, f"u{number}") for number in range(20)))
    assert Counter(outcomes) == {"accepted": 3, "full": 17}
    assert len(await stores[1].messages("a1", 1)) == 3
    members = sorted(await stores[0].messages("a1", 1))
    await send(stores[0], 2, members[0])
    await send(stores[1], 2, members[1])
    end_ms = T0_MS + 10_000
    late, first, second = await asyncio.gather(
        send(stores[0], 2, members[2], now_ms=end_ms),
        stores[1].read("a1", end_ms, with_senders=True),
        stores[0].read("a1", end_ms + 1, with_senders=True),
    )
    assert late == "wrong round"
    assert first == second
    assert first is not None
    assert (first.state, sorted(first.senders[1])) == ("values", members[:2])
    await other_redis.aclose()


async def test_a_redis_that_is_away_is_a_store_error() -> None:
    store = RedisAggregationStore(connect("redis://127.0.0.1:1/0", timeout_s=0.2))
    with pytest.raises(StoreError):
        await store.read("a1", T0_MS)
    with pytest.raises(StoreError):
        await store.messages("a1", 1)
