"""The default feed of the ranker explores nothing: one draw would decide for all new items at once."""

from __future__ import annotations

import asyncio

from infra.redis.stores.feed_store import DEFAULT_FEED, MemoryFeedStore
from infra.settings import read_settings
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.runtime.arm_params import ExperimentParams
from tests.build import T0_MS, an_interaction, an_item, features, stats
from tests.unit.streams.runtime.test_one_bad_record import World, new_ranker, records
from tests.waiting import until
from topics.topic import INTERACTIONS


async def test_the_feed_of_a_user_explores_and_the_default_feed_does_not() -> None:
    catalog = CatalogSnapshot()
    for n in range(30):
        catalog.apply_item(an_item(f"old{n}", created_at=0))
        catalog.apply_stats(stats(f"old{n}", popularity=-n / 10, first_at=1))
        catalog.apply_item(an_item(f"new{n}", created_at=T0_MS))
    env = {
        "EXPLORATION_POLICY": "epsilon-greedy",
        "EXPLORATION_SHARE": "0.5",
        "EPSILON": "1",
        "MAX_RECOMMENDATIONS": "10",
    }
    experiments = ExperimentParams(read_settings(env))
    world, store, release = World(catalog), MemoryFeedStore(), asyncio.Event()
    ranker = new_ranker(world, store, experiments)
    [record] = records(INTERACTIONS, an_interaction(user_id="ann"))
    ranker.put(release.set, {"ann": (record, features(user_id="ann"))})
    ranking = asyncio.create_task(ranker.run())
    await until(lambda: release.is_set() and DEFAULT_FEED in store._feeds)
    own, default = await store.read(["ann", DEFAULT_FEED])
    assert own is not None
    assert default is not None
    assert [propensity < 1.0 for propensity in own.propensities] == [place in (3, 5, 7, 9) for place in range(10)]
    assert default.propensities == []
    ranking.cancel()
    await asyncio.gather(ranking, return_exceptions=True)
    await world.publisher.close()
