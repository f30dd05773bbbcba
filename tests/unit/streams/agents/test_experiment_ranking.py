"""Rankings under experiments: feeds follow the arms of their users, and each exposure is published once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from infra.experiments.arm_parameters import UnknownArmParameterError
from infra.kafka.partition import partition_of
from infra.redis.stores.feed_store import DEFAULT_FEED, MemoryFeedStore
from infra.settings import Settings
from schemas.types import Arm, Experiment, Exposure, Features, Feed
from streams.core.experiments.exposure import exposure_of
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.user.user_state import UserState
from streams.runtime.arm_params import ExperimentParams
from tests.broker import Broker, Codecs, Worker
from tests.build import T0_MS, an_experiment, an_interaction, an_item, features, stats
from tests.unit.streams.runtime.test_one_bad_record import World, new_ranker, records
from tests.waiting import until
from topics.topic import EXPOSURES, INTERACTIONS, PARTITIONS

BY_POPULARITY = {"FEATURE_WEIGHT_FACTORS": "affinity=0"}
_SETTINGS = Settings()
USERS = [f"u{number}" for number in range(40)]


def an_ab_test(**fields: Any) -> Experiment:
    arms = [Arm(name="as it is", share=0.5), Arm(name="popular", share=0.5, parameters=BY_POPULARITY)]
    return an_experiment(**({"status": "running", "arms": arms} | fields))


def a_catalog() -> CatalogSnapshot:
    """Return popular items of pop, and jazz that few know."""
    catalog = CatalogSnapshot()
    for number in range(20):
        catalog.apply_item(an_item(f"pop{number}", topics=["pop"], created_at=0))
        catalog.apply_stats(stats(f"pop{number}", popularity=1.0 - number / 100, first_at=1))
        catalog.apply_item(an_item(f"jazz{number}", topics=["jazz"], created_at=0))
        catalog.apply_stats(stats(f"jazz{number}", popularity=0.5 - number / 100, first_at=1))
    catalog.refresh()
    return catalog


def a_listener(user_id: str) -> Features:
    return features(user_id=user_id, topics={"jazz": 5.0}, event_count=5)


class Rankings:
    """A ranker over memory stores."""

    def __init__(self, *experiments: Experiment, settings: Settings = _SETTINGS) -> None:
        self.world, self.store = World(a_catalog()), MemoryFeedStore()
        self.experiments = ExperimentParams(settings)
        for one in experiments:
            self.experiments.put(one)
        self.ranker = new_ranker(self.world, self.store, self.experiments)
        self._version = 0

    async def rank(self, users: Sequence[str] = USERS) -> dict[str, Feed]:
        """Rank users, and return their feeds with the default one."""
        release = asyncio.Event()
        self._version += 1
        [record] = records(INTERACTIONS, an_interaction())
        work = {
            user_id: (record, features(user_id=user_id, version=self._version, topics={"jazz": 5.0}, event_count=5))
            for user_id in users
        }
        self.ranker.put(release.set, work)
        ranking = asyncio.create_task(self.ranker.run())
        await until(release.is_set)
        ranking.cancel()
        await asyncio.gather(ranking, return_exceptions=True)
        feeds = await self.store.read([*users, DEFAULT_FEED])
        return {feed.user_id: feed for feed in feeds if feed is not None}

    async def exposures(self) -> list[Exposure]:
        """Return the published exposures."""
        await self.world.publisher.flush()
        return self.world.broker.values(EXPOSURES)


async def test_two_arms_rank_differently_and_name_themselves() -> None:
    rankings = Rankings(an_ab_test())
    feeds = await rankings.rank()
    by_arm = {arm: [one for one in feeds.values() if one.arms.get("x1") == arm] for arm in ("as it is", "popular")}
    assert len(by_arm["as it is"]) + len(by_arm["popular"]) == len(USERS)
    assert all(feed.items[0].startswith("jazz") for feed in by_arm["as it is"])
    assert all(feed.items[0].startswith("pop") for feed in by_arm["popular"])
    assert min(map(len, by_arm.values())) > 5
    await rankings.world.publisher.close()


async def test_a_pause_brings_all_back_and_a_promotion_moves_all() -> None:
    rankings = Rankings(an_ab_test())
    arms = {user_id: feed.arms for user_id, feed in (await rankings.rank()).items()}
    for status, first in (("paused", "jazz"), ("completed", "jazz")):
        rankings.experiments.put(an_ab_test(status=status))
        feeds = await rankings.rank()
        assert all(feeds[user_id].items[0].startswith(first) for user_id in USERS)
        assert not any(feed.arms for feed in feeds.values())
    rankings.experiments.put(an_ab_test(status="completed", winner="popular", promoted_at=T0_MS))
    feeds = await rankings.rank()
    assert all(feeds[user_id].items[0].startswith("pop") for user_id in USERS)
    rankings.experiments.put(an_ab_test())
    assert {user_id: feed.arms for user_id, feed in (await rankings.rank()).items()} == arms
    await rankings.world.publisher.close()


async def test_each_exposure_is_published_once_and_the_default_feed_has_none() -> None:
    rankings = Rankings(an_ab_test())
    feeds = await rankings.rank()
    await rankings.rank()
    exposures = await rankings.exposures()
    assert {one.user_id: one.arm for one in exposures} == {user_id: feeds[user_id].arms["x1"] for user_id in USERS}
    assert len(exposures) == len(USERS)
    assert {(one.experiment_id, one.defined_at, one.first_at) for one in exposures} == {("x1", T0_MS, T0_MS)}
    rankings.experiments.put(an_ab_test(arms=[Arm(name="as it is", share=0.0), Arm(name="popular", share=1.0)]))
    await rankings.rank()
    new_exposures = [one for one in await rankings.exposures() if one not in exposures]
    assert {one.user_id for one in new_exposures} == {one.user_id for one in exposures if one.arm == "as it is"}
    await rankings.world.publisher.close()


def test_an_experiment_with_parameters_that_cannot_be_used_is_not_run() -> None:
    experiments = ExperimentParams(Settings())
    experiments.put(an_ab_test())
    arms = [Arm(name="as it is", share=0.5), Arm(name="popular", share=0.5, parameters={"fresh": "2"})]
    with pytest.raises(UnknownArmParameterError):
        experiments.put(an_ab_test(arms=arms))
    assert not experiments.of(a_listener("u1"), at_ms=T0_MS).arms
    assert experiments.default().rank == experiments.of(a_listener("u1"), at_ms=T0_MS).rank


async def test_a_user_s_state_remembers_exposures_and_a_new_worker_repeats_none() -> None:
    broker = Broker()
    partition = partition_of(b"u1", PARTITIONS)
    exposure = exposure_of("u1", "x1", "popular", defined_at=T0_MS, first_at=T0_MS)
    stranger = exposure_of("u2", "x1", "popular", defined_at=T0_MS, first_at=T0_MS)
    event = an_interaction(user_id="u1", item_id="i1")
    broker.append(INTERACTIONS.name, partition, b"u1", Codecs().codec(type(event)).encode(event))
    worker = Worker(broker)
    users = worker.readers[0]
    while await users.read():
        pass
    for one in (exposure, stranger):
        number = partition_of(one.user_id.encode(), PARTITIONS)
        broker.append(EXPOSURES.name, number, one.user_id.encode(), Codecs().codec(Exposure).encode(one))
    while await users.read():
        pass
    await users.agent.checkpoint.force()
    users.commit()
    state: UserState | None = users.agent.peek(partition, "u1")
    assert state is not None
    assert len(state.exposures) == 1
    assert users.agent.peek(partition_of(b"u2", PARTITIONS), "u2") is None
    users.agent.features(partition, "u1")
    before = len(broker.values(EXPOSURES))
    worker.exposures.record("u1", {"x1": "popular"}, first_at=T0_MS + 1)
    worker.exposures.record("u1", {"x1": "as it is"}, first_at=T0_MS + 1)
    await worker.publisher.close()
    assert len(broker.values(EXPOSURES)) == before + 1
