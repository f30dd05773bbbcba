"""Ratings on the scale of a deployment: a shop of ten points, and ratings that are above the scale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.settings import Settings, SettingsError, read_settings
from schemas.limit import OutOfRangeError
from streams.core.item import socialverse_mapping
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.ranking.catalog.item_columns import GLOBAL_FEATURES
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params
from streams.runtime.core_params import user_params
from tests.build import T0_MS, an_interaction, an_item

TEN = Settings(rating_scale=10.0)


def a_learner(settings: Settings) -> Learner:
    learner = Learner(learner_params(settings))
    for name in "pqr":
        learner.catalog.apply_item(an_item(name, created_at=T0_MS - 1))
    return learner


def rate(learner: Learner, item_id: str, value: float, users: int = 20, *, weigh: bool = False) -> None:
    for number in range(users):
        event = an_interaction(
            event_id=f"{item_id}{number}",
            user_id=f"u{number}",
            item_id=item_id,
            action="rate",
            value=value,
            occurred_at=T0_MS,
        )
        learner.learn(event, Position(0, learner.events, learner.events + 1), learn_weights=weigh)


def test_a_mean_of_nines_is_above_a_mean_of_fives_in_a_shop_of_ten_points() -> None:
    learner = a_learner(TEN)
    rate(learner, "p", 5.0)
    rate(learner, "q", 9.0)
    learner.catalog.refresh()
    values = learner.catalog.columns.features[GLOBAL_FEATURES.index("rated")]
    assert values[learner.catalog.items.get("q")] > values[learner.catalog.items.get("p")]


def test_four_of_ten_is_no_liking() -> None:
    state = UserState("u1")
    params = user_params(TEN)
    event = an_interaction(action="rate", value=4.0, occurred_at=T0_MS)
    signal = user_state.fold(state, event, Position(0, 1, T0_MS), subject=ItemLabels("music", ()), params=params)
    assert signal is not None
    assert (signal.weight, signal.rating) == (pytest.approx(-0.2), 0.4)
    assert user_state.snapshot(state, params).categories["music"] < 0


@pytest.mark.parametrize(("settings", "value", "outcomes"), [(TEN, 4.0, 0), (TEN, 8.0, 1), (Settings(), 4.0, 1)])
def test_a_liking_by_the_scale_is_an_outcome(settings: Settings, value: float, outcomes: int) -> None:
    choices: list[int] = []
    learner = Learner(learner_params(settings), on_outcome=lambda look, place: choices.append(place))
    for name in "pqr":
        learner.catalog.apply_item(an_item(name, created_at=T0_MS - 1))
    rate(learner, "p", value, users=1, weigh=True)
    assert len(choices) == outcomes


def test_a_rating_above_the_scale_is_refused_and_changes_nothing() -> None:
    state, params = UserState("u1"), user_params(Settings())
    event = an_interaction(action="rate", value=9.0, occurred_at=T0_MS)
    with pytest.raises(OutOfRangeError, match="from 0 to 5, not 9; RATING_SCALE sets the highest"):
        user_state.fold(state, event, Position(0, 1, T0_MS), subject=ItemLabels("music", ()), params=params)
    assert state == UserState("u1")


def test_the_trainer_passes_over_what_the_user_agent_refuses() -> None:
    learner = a_learner(Settings())
    rate(learner, "p", 9.0)
    assert learner.events == 0
    rate(learner, "p", 5.0)
    assert learner.events == 20


def test_percentages_of_the_external_api_are_put_on_the_scale() -> None:
    record = socialverse_mapping.EngagementRecord(id=1, post_id=2, user_id=3, rated_at=T0_MS, rating_percent=80)
    assert socialverse_mapping.interaction("rated-posts", record, None, rating_scale=5.0).value == 4.0
    assert socialverse_mapping.interaction("rated-posts", record, None, rating_scale=10.0).value == 8.0


@pytest.mark.parametrize("value", ["0", "-5", "101", "nan", "ten"])
def test_a_scale_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="RATING_SCALE"):
        read_settings({"RATING_SCALE": value})


def test_the_scale_is_a_setting() -> None:
    assert read_settings({"RATING_SCALE": "10"}) == replace(Settings(), rating_scale=10.0)
