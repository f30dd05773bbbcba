"""One suite for each small read model: what holds in memory holds in Redis."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from domain.nearby import UNKNOWN_LOCATION, geo_location
from infra import clock
from infra.redis.connection import StoreError, connect
from infra.redis.stores.chart_store import CHART_ITEMS, ChartStore, MemoryChartStore, RedisChartStore
from infra.redis.stores.experiment_store import ExperimentStore, MemoryExperimentStore, RedisExperimentStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.shop_store import (
    FitRequest,
    MemoryShopStore,
    RedisShopStore,
    ShopStore,
    StoredCharts,
    StoredHome,
)
from infra.redis.stores.user_profile_store import (
    MemoryUserProfileStore,
    RedisUserProfileStore,
    UserProfile,
    UserProfileStore,
)
from schemas.types import Experiment, RecentItem
from streams.roles.log.log_role import ChartProjector
from tests.build import T0_MS, a_profile, an_experiment, an_item, features, stats


@pytest.fixture(params=("memory", "redis"))
def portraits(request: pytest.FixtureRequest, redis: Redis) -> UserProfileStore:
    return MemoryUserProfileStore() if request.param == "memory" else RedisUserProfileStore(redis)


@pytest.fixture(params=("memory", "redis"))
def experiments(request: pytest.FixtureRequest, redis: Redis) -> ExperimentStore:
    return MemoryExperimentStore() if request.param == "memory" else RedisExperimentStore(redis)


@pytest.fixture(params=("memory", "redis"))
def charts(request: pytest.FixtureRequest, redis: Redis) -> ChartStore:
    return MemoryChartStore() if request.param == "memory" else RedisChartStore(redis)


@pytest.fixture(params=("memory", "redis"))
def shop(request: pytest.FixtureRequest, redis: Redis) -> ShopStore:
    return MemoryShopStore() if request.param == "memory" else RedisShopStore(redis)


async def test_a_home_holds_until_it_is_stale_and_charts_until_they_are_replaced(shop: ShopStore) -> None:
    now_ms = clock.now_ms()
    assert await shop.read("ann", now_ms=now_ms) == (None, StoredCharts())
    home = StoredHome(user_id="ann", personalized=["a"], diverse=["b"], stale_at=now_ms + 60_000)
    charts = StoredCharts(trending=["a"], best_value=["b"], top_categories={"c": ["a", "b"]}, diverse=["b"])
    await shop.write([home, StoredHome(user_id="old", personalized=["a"], stale_at=now_ms - 1)])
    await shop.write_charts(charts)
    assert await shop.read("ann", now_ms=now_ms) == (home, charts)
    assert await shop.read("ann", now_ms=home.stale_at) == (None, charts)
    assert await shop.read("old", now_ms=now_ms) == (None, charts)
    await shop.write([])


async def test_the_last_request_for_a_fit_is_kept_and_the_same_again_changes_nothing(shop: ShopStore) -> None:
    assert await shop.fit_request() is None
    for event_id, at_ms in (("a", 1), ("a", 2)):
        await shop.request_fit(FitRequest(event_id, at_ms))
    assert await shop.fit_request() == FitRequest("a", 1)
    await shop.request_fit(FitRequest("b", 3))
    assert await shop.fit_request() == FitRequest("b", 3)


async def test_a_user_profile_has_an_inferred_and_a_stated_part(portraits: UserProfileStore) -> None:
    recent = [RecentItem(item_id=f"i{n}", weight=1.0, at=T0_MS) for n in range(30)]
    await portraits.write_inferred(
        [features(version=1), features(version=2, topics={"jazz": 1.5}, recent=recent, interactions_offset=7)]
    )
    new_profile = a_profile(categories=["music"])
    await portraits.write_stated([a_profile(), new_profile])
    profile, stated_profile = await portraits.read("u1")
    assert profile is not None
    assert (profile.version, profile.topics, len(profile.recent)) == (2, {"jazz": 1.5}, 20)
    assert profile.interactions_offset == 7
    assert stated_profile == new_profile
    assert await portraits.read("nobody") == UserProfile(None, None)


async def test_where_a_user_is_stays_out_of_what_is_read(redis: Redis) -> None:
    await RedisUserProfileStore(redis).write_inferred([features(cell="872a1072bffffff")])
    assert b"872a1072bffffff" not in await redis.get("portrait:u1")


async def test_a_user_is_where_the_ping_was_or_the_profile_says(portraits: UserProfileStore) -> None:
    assert await portraits.location("u1") == UNKNOWN_LOCATION
    await portraits.write_stated([a_profile(city="Valencia", timezone="Europe/Madrid")])
    assert await portraits.location("u1") == geo_location(None, "Valencia, Spain")
    await portraits.write_inferred([features(cell="872a1072bffffff", city="Valencia")])
    assert (await portraits.location("u1")).point == geo_location("872a1072bffffff", None).point
    await portraits.write_inferred([features(user_id="u2", cell="872a1072bffffff")])
    assert await portraits.location("u2") == geo_location("872a1072bffffff", None)


async def test_who_follows_items_hears_which_have_changed(redis: Redis) -> None:
    store = RedisItemStore(redis)
    changes = store.changes()
    assert await anext(changes) is None
    await store.write([an_item("i1"), an_item("i2")])
    await store.delete(["i1", "\u00e9 \U0001f600"])
    await redis.publish("items", b"\xc1 not ours")
    assert [await anext(changes) for _ in range(3)] == [["i1", "i2"], ["i1", "\u00e9 \U0001f600"], None]
    await redis.client_kill_filter(_type="pubsub")
    assert await anext(changes) is None, "it listens again, and says that it may have missed some"
    await store.write([an_item("i3")])
    assert await anext(changes) == ["i3"]
    await changes.aclose()  # type: ignore[attr-defined]


async def test_experiments_come_newest_first_and_the_last_definition_holds(experiments: ExperimentStore) -> None:
    old, new = an_experiment(experiment_id="a"), an_experiment(experiment_id="b", occurred_at=T0_MS + 1)
    new_experiment: Experiment = an_experiment(experiment_id="a", status="running")
    await experiments.write([old, new])
    await experiments.write([new_experiment])
    assert await experiments.read() == [new, new_experiment]
    await experiments.write([])
    await experiments.write([an_experiment(experiment_id="b", name="Older", occurred_at=T0_MS)])
    assert await experiments.read() == [new, new_experiment], "a definition replaces no newer one"


async def test_charts_are_by_trend_and_category(charts: ChartStore) -> None:
    await charts.write({"i1": 1.0, "i2": 3.0, "i3": 2.0}, {"i1": "music", "i2": "music"})
    await charts.write({"i1": 9.0}, {"i1": "music"})
    assert list(await charts.read(None, limit=10)) == ["i1", "i2", "i3"]
    assert list(await charts.read("music", limit=1)) == ["i1"]
    assert list(await charts.read("other", limit=10)) == []
    assert await charts.trends(["music", "other"]) == {"i1": 9.0, "i2": 3.0}
    assert await charts.trends([]) == {}


async def test_only_the_first_of_a_chart_are_kept(redis: Redis) -> None:
    await RedisChartStore(redis).write({f"i{n}": float(n) for n in range(CHART_ITEMS + 5)}, {})
    assert await redis.zcard("chart:trending") == CHART_ITEMS
    assert list(await RedisChartStore(redis).read(None, limit=1)) == [f"i{CHART_ITEMS + 4}"]


async def test_what_was_fetched_for_one_user_is_in_no_chart(redis: Redis) -> None:
    items, charts = RedisItemStore(redis), RedisChartStore(redis)
    await items.write([an_item("mine", private=True), an_item("ours")])
    await ChartProjector(charts, items).write([stats("mine", trending=9.0), stats("ours", trending=1.0)])
    assert list(await charts.read(None, limit=10)) == list(await charts.read("music", limit=10)) == ["ours"]


async def test_how_items_do_is_charted_by_the_categories_of_the_catalogue(redis: Redis) -> None:
    items, charts = RedisItemStore(redis), RedisChartStore(redis)
    await items.write([an_item("i1", category="places")])
    await ChartProjector(charts, items).write(
        [stats("i1", trending=1.0), stats("i2", trending=2.0), stats("i3", trending=-float("inf"))]
    )
    assert list(await charts.read(None, limit=10)) == ["i2", "i1"]
    assert list(await charts.read("places", limit=10)) == ["i1"]


@pytest.mark.parametrize("store", [RedisUserProfileStore, RedisExperimentStore, RedisChartStore])
async def test_an_away_store_is_a_store_error(store: Any) -> None:
    away = connect("redis://127.0.0.1:1/0", timeout_s=0.2)
    arguments = {"RedisUserProfileStore": ("u1",), "RedisExperimentStore": (), "RedisChartStore": (None,)}[
        store.__name__
    ]
    with pytest.raises(StoreError):
        await store(away).read(*arguments, **({"limit": 1} if store is RedisChartStore else {}))
    await away.aclose()
