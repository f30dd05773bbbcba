from __future__ import annotations

import numpy as np
import pytest

from infra.redis.stores.model_status import Version
from models.blend.personal import PersonalWeights
from schemas.types import ErasureRequest, ModelVersion
from streams.core.learning.visits import Visit, to_records
from streams.core.position import Position
from streams.core.ranking.pipeline import new_blender
from streams.roles.trainer.candidate_fit import CandidateFit
from streams.roles.trainer.model_version import record, version_of
from streams.roles.trainer.online_learner import OnlineLearner
from tests.build import T0_MS, a_choice, a_version


@pytest.fixture
def version_record(fit: CandidateFit) -> ModelVersion:
    """The version of a fit."""
    return record(a_version(), list(fit.learner.blender.features), fit.learner.blender.state())


def visit(live: OnlineLearner, category: str, *, start: int, count: int, is_return: bool) -> None:
    visits = [Visit(Position(0, start + n, T0_MS + start + n), category, is_return) for n in range(count)]
    for one in to_records(visits):
        live.apply(one)


def published(live: OnlineLearner) -> ModelVersion:
    return live.model_version(T0_MS, events=7, offsets={"choices.v1": [1]})


def test_online_weights_are_published_once_changed_and_named_after_their_base(version_record: ModelVersion) -> None:
    live = OnlineLearner()
    live.warm_start(version_record)
    assert not live.has_unpublished
    for number in range(30):
        live.apply(a_choice(item_id=f"i{number}", occurred_at=T0_MS + number))
    assert (live.has_unpublished, live.outcomes) == (True, 30)
    version = published(live)
    assert (version.version, version.watermark, version.offsets) == ("v1+30", T0_MS + 29, {"choices.v1": [1]})
    assert not live.has_unpublished

    again = OnlineLearner()
    assert again.warm_start(version)
    assert (again.version, again.base and again.base.version) == (version.version, "v1")
    assert version_of(version).version == version.version
    np.testing.assert_array_equal(again.weights.blender.table, live.weights.blender.table)


def test_categories_that_repeat_are_published_and_counted_on_by_a_successor(
    version_record: ModelVersion,
) -> None:
    live = OnlineLearner()
    live.warm_start(version_record)
    visit(live, "places", start=0, count=100, is_return=True)
    assert live.has_unpublished
    version = published(live)
    assert version.repeated_categories == ["places"]
    assert not live.has_unpublished

    again = OnlineLearner()
    again.warm_start(version)
    assert not again.has_unpublished
    for one in (live, again):
        visit(one, "places", start=100, count=50, is_return=False)
    assert again.repeats.rates == live.repeats.rates


def test_visits_that_are_published_again_count_once(fit: CandidateFit) -> None:
    live, once = OnlineLearner(), OnlineLearner()
    visit(once, "places", start=0, count=60, is_return=True)
    for start, count in ((0, 40), (0, 25), (20, 40)):  # a worker that was killed begins its batches elsewhere
        visit(live, "places", start=start, count=count, is_return=True)
    assert (live.repeats.visits, live.repeats.rates) == (once.repeats.visits, once.repeats.rates)

    live.promote(a_version(), fit.learner.weights, once.repeats, {0: (59, T0_MS + 59)})
    visit(live, "places", start=30, count=31, is_return=True)  # one more than the fit has learned
    assert live.repeats.visits["places"] == 500.0 + 61


def test_a_promoted_fit_is_where_learning_continues(fit: CandidateFit) -> None:
    live, version = OnlineLearner(most_users=3), a_version(watermark=T0_MS + 5)
    live.apply(a_choice(user_id="before"))
    live.promote(version, fit.learner.weights, fit.learner.repeats, fit.positions)
    assert (live.version, live.has_unpublished, live.watermark) == ("v1", False, T0_MS + 5)
    table = live.weights.blender.table.copy()
    live.apply(a_choice(user_id="after"))
    assert (live.version, live.has_unpublished) == ("v1+1", True)
    assert not np.array_equal(live.weights.blender.table, table)
    assert live.weights.offset("before") is None


def test_weights_of_their_own_have_as_many_users_as_are_set_those_with_the_newest_choices() -> None:
    live = OnlineLearner(most_users=2)
    for user_id in ("u1", "u2", "u1", "u3"):
        live.apply(a_choice(user_id=user_id))
    assert [live.weights.offset(user_id) is not None for user_id in ("u1", "u2", "u3")] == [True, False, True]
    assert [own.user_id for own in live.user_weights(9)] == ["u1", "u3"]


def test_a_version_of_other_features_is_not_continued() -> None:
    live = OnlineLearner()
    other = record(Version(version="v9", status="serving", created_at=1), ["other"], new_blender().state())
    assert not live.warm_start(other)
    assert live.base is None
    assert isinstance(live.weights, PersonalWeights)


def test_an_erased_user_has_no_weights_and_nothing_else_changes() -> None:
    live = OnlineLearner()
    for user_id in ("alex", "kim", "alex"):
        live.apply(a_choice(user_id=user_id))
    table, kim = live.weights.blender.table.copy(), live.weights.offset("kim")
    live.apply(ErasureRequest(event_id="e1", user_id="alex", occurred_at=T0_MS))
    live.apply(ErasureRequest(event_id="e2", user_id="nobody", occurred_at=T0_MS))
    assert live.weights.offset("alex") is None
    assert [own.user_id for own in live.user_weights(9)] == ["kim"]
    np.testing.assert_array_equal(live.weights.blender.table, table)
    np.testing.assert_array_equal(live.weights.offset("kim"), kim)
    live.apply(a_choice(user_id="alex"))
    assert live.weights.offset("alex") is not None
