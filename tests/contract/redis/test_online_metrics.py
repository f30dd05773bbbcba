"""One suite for both stores of online metrics, and the impressions whose clicks they count."""

import pytest
from redis.asyncio import Redis

from domain.timestamp import DAY_MS, HOUR_MS, MINUTE_MS
from infra.redis.metrics.impression_store import MAX_ITEMS, RedisImpressionStore
from infra.redis.metrics.online_metrics_store import (
    INTERVAL_MS,
    IntervalFigures,
    MemoryOnlineMetricsStore,
    OnlineMetricsStore,
    RedisOnlineMetricsStore,
)
from schemas.types import Impression, ShownItem
from tests.build import T0_MS

NOW = T0_MS // INTERVAL_MS


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> OnlineMetricsStore:
    def clock_s() -> float:
        return T0_MS / 1_000

    if request.param == "memory":
        return MemoryOnlineMetricsStore(clock_s=clock_s)
    return RedisOnlineMetricsStore(redis, clock_s=clock_s)


async def test_figures_of_all_workers_add_up_by_hour_and_day(store: OnlineMetricsStore) -> None:
    await store.add({NOW: IntervalFigures(outcomes=4, hits=1, gain=0.5, items=frozenset("ab"))})
    await store.add(
        {NOW: IntervalFigures(outcomes=4, hits=1, gain=1.0, items=frozenset("bc"), impressions=10, clicks=3)}
    )
    await store.add({NOW - HOUR_MS // INTERVAL_MS - 1: IntervalFigures(outcomes=2, hits=2, gain=2.0)})
    hour, day = await store.read(HOUR_MS), await store.read(DAY_MS)
    assert (hour.outcomes, hour.hit_rate, hour.ndcg, hour.items) == (8, 0.25, 0.1875, 3)
    assert (hour.impressions, hour.clicks, hour.click_through_rate) == (10, 3, 0.3)
    assert (day.outcomes, day.hit_rate, day.ndcg) == (10, 0.4, 0.35)


async def test_without_cases_rates_are_null_and_times_beyond_the_day_are_ignored(store: OnlineMetricsStore) -> None:
    for number in (NOW - DAY_MS // INTERVAL_MS - 1, NOW + 1):
        await store.add({number: IntervalFigures(outcomes=1, hits=1, gain=1.0)})
    await store.add({})
    day = await store.read(DAY_MS)
    assert (day.outcomes, day.hit_rate, day.ndcg, day.click_through_rate, day.items) == (0, None, None, None, 0)


def an_impression(*item_ids: str, at_ms: int = T0_MS) -> Impression:
    items = [ShownItem(item_id=item_id, position=position) for position, item_id in enumerate(item_ids)]
    return Impression(event_id=f"{at_ms}", user_id="u1", items=items, occurred_at=at_ms)


async def test_an_impression_counts_once_and_its_click_once_within_the_hour(redis: Redis) -> None:
    store = RedisImpressionStore(redis)
    assert await store.show([an_impression("a", "b", "c")]) == [T0_MS] * 3
    assert await store.show([an_impression("a", "b", "c")]) == [], "the same events again"
    later = T0_MS + MINUTE_MS
    assert await store.show([an_impression("a", at_ms=later)]) == [later]
    actions = [("u1", "a", later + 1), ("u1", "nothing", later), ("u2", "b", later)]
    assert await store.click(actions) == [later]
    assert await store.click(actions) == []
    assert await store.click([("u1", "b", T0_MS + HOUR_MS + 1), ("u1", "c", T0_MS - 1)]) == [], "too late, and before"
    assert await store.click([]) == await store.show([]) == []


async def test_impressions_of_a_user_are_bounded_and_expire(redis: Redis) -> None:
    store = RedisImpressionStore(redis)
    await store.show([an_impression(*(f"i{n}" for n in range(MAX_ITEMS + 5)))])
    assert await redis.zcard("impressions:u1") == MAX_ITEMS
    assert 0 < await redis.pttl("impressions:u1") <= HOUR_MS
