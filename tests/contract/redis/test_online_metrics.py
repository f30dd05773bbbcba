"""One suite for both stores of online metrics."""

import pytest
from redis.asyncio import Redis

from domain.timestamp import DAY_MS, HOUR_MS
from infra.redis.metrics.online_metrics_store import (
    INTERVAL_MS,
    IntervalFigures,
    MemoryOnlineMetricsStore,
    OnlineMetricsStore,
    RedisOnlineMetricsStore,
)
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
    await store.add({NOW: IntervalFigures(outcomes=4, hits=1, gain=1.0, items=frozenset("bc"))})
    await store.add({NOW - HOUR_MS // INTERVAL_MS - 1: IntervalFigures(outcomes=2, hits=2, gain=2.0)})
    hour, day = await store.read(HOUR_MS), await store.read(DAY_MS)
    assert (hour.outcomes, hour.hit_rate, hour.ndcg, hour.items) == (8, 0.25, 0.1875, 3)
    assert (day.outcomes, day.hit_rate, day.ndcg) == (10, 0.4, 0.35)


async def test_without_cases_rates_are_null_and_times_beyond_the_day_are_ignored(store: OnlineMetricsStore) -> None:
    for number in (NOW - DAY_MS // INTERVAL_MS - 1, NOW + 1):
        await store.add({number: IntervalFigures(outcomes=1, hits=1, gain=1.0)})
    await store.add({})
    day = await store.read(DAY_MS)
    assert (day.outcomes, day.hit_rate, day.ndcg, day.items) == (0, None, None, 0)
