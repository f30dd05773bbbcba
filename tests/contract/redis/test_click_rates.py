"""One suite for both stores of click rates."""

import pytest
from redis.asyncio import Redis

from domain.timestamp import DAY_MS, HOUR_MS
from infra.redis.metrics.click_rate_store import (
    MAX_LABELS,
    OTHER,
    ClickRateStore,
    MemoryClickRateStore,
    RedisClickRateStore,
)
from infra.redis.metrics.online_metrics_store import INTERVAL_MS
from tests.build import T0_MS

NOW = T0_MS // INTERVAL_MS


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> ClickRateStore:
    def clock_s() -> float:
        return T0_MS / 1_000

    return (
        MemoryClickRateStore(clock_s=clock_s)
        if request.param == "memory"
        else RedisClickRateStore(redis, clock_s=clock_s)
    )


async def test_figures_of_all_partitions_add_up_by_hour_and_day_and_are_written_whole(store: ClickRateStore) -> None:
    await store.write(0, {NOW: {"all": {"": (9, 9)}, "place": {"9": (9, 9)}}})
    await store.write(0, {NOW: {"all": {"": (6, 2)}, "place": {"0": (4, 2), "1": (2, 0)}}})
    await store.write(7, {NOW: {"all": {"": (4, 1)}, "place": {"0": (4, 1)}}})
    await store.write(7, {NOW - HOUR_MS // INTERVAL_MS - 1: {"all": {"": (10, 0)}}})
    await store.write(7, {NOW - DAY_MS // INTERVAL_MS - 1: {"all": {"": (100, 0)}}, NOW + 1: {"all": {"": (100, 0)}}})
    hour, day = await store.read(HOUR_MS), await store.read(DAY_MS)
    assert (hour.impressions, hour.clicks, hour.click_through_rate) == (10, 3, 0.3)
    places = [(one.label, one.impressions, one.clicks, one.click_through_rate) for one in hour.by["place"]]
    assert places == [("0", 8, 3, 0.375), ("1", 2, 0, 0.0)]
    assert (day.impressions, day.clicks, day.click_through_rate) == (20, 3, 0.15)


async def test_without_impressions_there_is_no_rate(store: ClickRateStore) -> None:
    rates = await store.read(DAY_MS)
    assert (rates.impressions, rates.click_through_rate) == (0, None)
    assert rates.by == {"place": [], "source": [], "arm": [], "model": [], "category": []}


async def test_labels_beyond_the_first_are_added_up(store: ClickRateStore) -> None:
    sources = {f"s{number}": (100 - number, 1) for number in range(MAX_LABELS + 5)} | {OTHER: (1_000, 3)}
    await store.write(0, {NOW: {"source": sources}})
    labels = (await store.read(HOUR_MS)).by["source"]
    assert [one.label for one in labels] == [f"s{number}" for number in range(MAX_LABELS)] + [OTHER]
    assert (labels[-1].impressions, labels[-1].clicks) == (1_000 + sum(100 - n for n in range(20, 25)), 3 + 5)
