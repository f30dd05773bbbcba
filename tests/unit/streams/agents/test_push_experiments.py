"""Pushes under experiments: each user's arm decides what is worth a push, also while the arm is paused."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.partition import partition_of
from infra.kafka.publisher import Publisher
from infra.redis.connection import StoreError
from infra.redis.stores.experiment_store import MemoryExperimentStore
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.settings import Settings
from schemas.types import Arm, ArmPause, Experiment, Feed, PushRequest
from streams.agents.push import INPUT_TOPICS, PushAgent
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import RoleContext
from streams.runtime.state.experiment_follower import ExperimentFollower
from tests.broker import App, Broker, Codecs, CountingEraser, Reader, Table
from tests.build import T0_MS, a_feed, a_push_request, an_experiment, an_item
from topics import Topic
from topics.topic import FEEDS, NOTIFICATIONS, PARTITIONS, PUSH_REQUESTS

PAUSE = ArmPause(paused_at=T0_MS)
ARMS = [
    Arm(name="control", share=0.5, parameters={"PUSH_VALUE_THRESHOLD": "50"}),
    Arm(name="eager", share=0.5, parameters={"PUSH_VALUE_THRESHOLD": "0"}),
]


def a_running(**fields: Any) -> Experiment:
    return an_experiment(**({"status": "running", "arms": ARMS} | fields))


class RecoverableTable(Table):
    def on_recover(self, _: Any) -> None:
        pass


class World:
    """The push agent, and the feeds of users with a device."""

    def __init__(self, *experiments: Experiment) -> None:
        self.broker, self._number = Broker(), 0
        self.experiments = ExperimentParams(Settings())
        for one in experiments:
            self.experiments.put(one)
        app, registry, items = cast(Any, App()), cast(Any, Codecs()), MemoryItemStore()
        publisher = Publisher("", registry, new_producer=cast(Any, self.broker.producer))
        context = RoleContext(
            app, Settings(), registry, publisher, DeadLetterQueue(publisher, now_ms=lambda: T0_MS), ErasureIndex(None)
        )
        self._items, self._publisher = items, publisher
        agent = PushAgent(
            context,
            RecoverableTable(self.broker, "pushes"),
            ItemCache(items),
            self.experiments,
            sender=None,
            eraser=CountingEraser(),
            now_ms=lambda: T0_MS + 1_000,
        )
        self._reader = Reader("push", agent, INPUT_TOPICS, self.broker, app)

    async def thresholds(self, arms: dict[str, dict[str, str]]) -> dict[str, str]:
        """Return the threshold that a new item in a feed was held against, by user; "0" for an item that passed.

        Args:
            arms: The arms that the feed of each user names.
        """
        self._number += 1
        item_id = f"new{self._number}"
        await self._items.write([an_item(item_id, created_at=T0_MS)])
        for user_id, feed_arms in arms.items():
            if self._number == 1:
                self._append(
                    PUSH_REQUESTS, a_push_request(event_id=f"device-{user_id}", user_id=user_id, token=user_id)
                )
            feed = a_feed(user_id=user_id, features_version=self._number, items=[item_id, "i2", "i3"], arms=feed_arms)
            self._append(FEEDS, feed)
        while await self._reader.read():
            pass
        await self._publisher.flush()
        decisions = {one.user_id: one for one in self.broker.values(NOTIFICATIONS) if one.item_id == item_id}
        return {
            user_id: one.reason.split(", of ")[-1].split(" ")[0] if one.status == "not_worth_it" else "0"
            for user_id, one in decisions.items()
        }

    def _append(self, topic: Topic, value: PushRequest | Feed) -> None:
        key = value.user_id.encode()
        data = Codecs().codec(cast(type[msgspec.Struct], type(value))).encode(value)
        self.broker.append(topic.name, partition_of(key, PARTITIONS), key, data)


async def test_each_arm_has_its_own_threshold() -> None:
    world = World(a_running())
    arms = {"ann": {"x1": "control"}, "bob": {"x1": "eager"}, "cas": {}, "dan": {"x9": "unknown"}}
    assert await world.thresholds(arms) == {"ann": "50", "bob": "0", "cas": "1.25", "dan": "1.25"}


async def test_a_paused_arm_follows_the_first_one_and_a_promoted_one_holds_for_all() -> None:
    world = World(a_running())
    arms = {"bob": {"x1": "eager"}, "cas": dict[str, str]()}
    assert await world.thresholds(arms) == {"bob": "0", "cas": "1.25"}
    world.experiments.put(a_running(arms=[ARMS[0], replace(ARMS[1], pauses=[PAUSE])]))
    without = {user_id: dict[str, str]() for user_id in arms}
    assert await world.thresholds(without) == {"bob": "50", "cas": "1.25"}
    world.experiments.put(an_experiment(status="completed", arms=ARMS, winner="control", promoted_at=T0_MS))
    assert await world.thresholds(without) == {"bob": "50", "cas": "50"}
    world.experiments.put(an_experiment(status="completed", arms=ARMS))
    assert await world.thresholds(without) == {"bob": "1.25", "cas": "1.25"}


class Definitions(MemoryExperimentStore):
    """Definitions that can be deleted, in a store that may not answer."""

    def __init__(self, *experiments: Experiment) -> None:
        super().__init__()
        self.experiments, self.is_unavailable = list(experiments), False

    async def read(self) -> list[Experiment]:
        if self.is_unavailable:
            raise StoreError("reading experiments", ConnectionError("no answer"))
        return self.experiments


async def test_a_role_follows_the_definitions_in_the_store() -> None:
    store, experiments = Definitions(a_running()), ExperimentParams(Settings())
    follower = ExperimentFollower(store, experiments)
    await follower.refresh()
    assert experiments.push({"x1": "control"}).value_threshold == 50
    bad = Arm(name="b", share=0.5, parameters={"PUSH_VALUE_THRESHOLD": "-1"})
    store.experiments.append(an_experiment(experiment_id="x2", status="running", arms=[ARMS[0], bad]))
    await follower.refresh()
    assert experiments.push({"x2": "control"}).value_threshold == 1.25
    store.is_unavailable = True
    with pytest.raises(StoreError):
        await follower.refresh()
    assert experiments.push({"x1": "control"}).value_threshold == 50
    store.is_unavailable, store.experiments = False, []
    await follower.refresh()
    assert experiments.push({"x1": "control"}).value_threshold == 1.25
