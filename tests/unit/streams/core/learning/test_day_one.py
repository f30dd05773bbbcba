"""The first clicks of a service: each changes the feed of the user who clicked, and leaves those of others in peace."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from loaders import Dataset
from loaders.datasets import world
from loaders.datasets.world_vocabulary import CITIES, INTERESTS
from schemas.types import Interaction, Profile
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.pipeline import rank
from tests.params import LEARNER_PARAMS

NOW_MS = 1_796_000_000_000
TOPICS = [interest.name for interest in INTERESTS][:10]
NEWCOMERS, BYSTANDERS, FIRST = 30, 20, 20


@cache
def data(seed: int) -> Dataset:
    return world.build(seed=seed, now_ms=NOW_MS)


class Service:
    """A learner of the demo's world, in which a number of outcomes have been learned from."""

    def __init__(self, outcomes: int, *, seed: int = 7) -> None:
        self.learner = Learner(LEARNER_PARAMS, refits_item_weights=False)
        self.events = 0
        self.dataset = dataset = data(seed)
        for item in dataset.items:
            self.learner.catalog.apply_item(item)
        for number, profile in enumerate(dataset.profiles, 1):
            self.learner.profile(profile, Position(1, number, number))
        for number, event in enumerate(dataset.interactions):
            self.act(event, weigh=number >= len(dataset.interactions) - outcomes)

    def act(self, event: Interaction, *, weigh: bool = True) -> None:
        self.events += 1
        self.learner.learn(event, Position(0, self.events, self.events), learn_weights=weigh)

    def feed(self, user_id: str) -> list[str]:
        learner = self.learner
        learner.catalog.refresh()
        return rank(
            learner.features(user_id), learner.catalog, learner.blender, learner.params.rank, now_ms=NOW_MS
        ).items

    def first(self, user_id: str) -> list[str]:
        return self.feed(user_id)[:FIRST]

    def topic(self, item_id: str) -> str:
        subject = self.learner.catalog.labels(item_id)
        assert subject is not None
        return subject.topics[0]

    def bystanders(self) -> list[str]:
        return [profile.user_id for profile in self.dataset.profiles[1 : BYSTANDERS + 1]]


@dataclass
class Outcome:
    """What came of the newcomers' clicks."""

    rose: int = 0
    """Newcomers of whose topic there is more in the first of the feed than before."""
    visible_topics: int = 0
    """Newcomers whose other stated topic is still there."""
    new_items: list[int] = field(default_factory=list)
    """New items in the first of the feeds of users who did not act, by click and user."""


def arrive(service: Service) -> Outcome:
    """Have newcomers state two topics each, and click an item of the first."""
    outcome, at_ms = Outcome(), NOW_MS
    for number in range(NEWCOMERS):
        user_id, topic = f"new{number}", TOPICS[number % 10]
        other = next(TOPICS[n % 10] for n in (number * 7 + 3, number + 1) if TOPICS[n % 10] != topic)
        city, at_ms = CITIES[number % 5], at_ms + 60_000
        profile = Profile(
            event_id=f"profile-{number}",
            user_id=user_id,
            topics=[topic, other],
            city=city.name,
            timezone=city.timezone,
            occurred_at=at_ms,
        )
        service.learner.profile(profile, Position(1, 10_000 + number, at_ms))
        before, at_ms = service.first(user_id), at_ms + 5_000
        others = {bystander: service.first(bystander) for bystander in service.bystanders()}
        items_of_topic = [item for item in before if service.topic(item) == topic]
        click = Interaction(
            event_id=f"click-{number}",
            user_id=user_id,
            item_id=items_of_topic[:3][-1],
            action="click",
            occurred_at=at_ms,
        )
        service.act(click)
        after = [service.topic(item) for item in service.first(user_id)]
        outcome.rose += after.count(topic) > len(items_of_topic)
        outcome.visible_topics += other in after
        outcome.new_items += [len({*service.first(user)} - {*first}) for user, first in others.items()]
    return outcome


@pytest.mark.parametrize("outcomes", [1, 5, 50, 500])
def test_a_first_click_changes_the_feed_of_the_user_who_clicked_and_no_other(outcomes: int) -> None:
    came = arrive(Service(outcomes))
    assert came.rose >= 27, "clicks on a stated topic bring more of it"
    assert came.visible_topics == NEWCOMERS, "the other stated topic stays visible"
    assert np.median(came.new_items) == 0
    assert max(came.new_items) <= 1
