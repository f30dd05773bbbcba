"""Personal weights: a user's own choices change the ranking of that user, by bounded steps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.blend.blender import Blender
from models.blend.personal import PersonalWeights
from tests.build import whole
from tests.unit.models.blend.test_blender import CLASSES, CONTEXT, PRIOR, choices, consistent


def a_personal() -> PersonalWeights:
    return PersonalWeights(Blender(PRIOR, CLASSES))


def test_a_click_changes_the_offset_of_its_user_alone() -> None:
    personal, draw = a_personal(), np.random.default_rng(0)
    personal.learn("u1", whole(consistent(draw)), 0, CONTEXT)
    first = personal.offset("u1")
    assert first is not None
    first = first.copy()
    personal.learn("u2", whole(consistent(draw)), 0, CONTEXT)
    np.testing.assert_array_equal(personal.offset("u1"), first)
    assert personal.offset("u3") is None
    assert first[0] > 0.0 > first[1]


@given(choice=choices(), times=st.integers(1, 5))
def test_no_outcome_moves_two_scores_of_its_look_apart_by_more_than_a_little(
    choice: tuple[NDArray[np.float32], int], times: int
) -> None:
    parts, chosen_index = choice
    personal, before = a_personal(), np.zeros(len(PRIOR))
    for _ in range(times):
        personal.learn("u1", whole(parts), chosen_index, CONTEXT)
        offset = personal.offset("u1")
        assert offset is not None
        scores = parts.T.astype(np.float64) @ (offset - 0.98 * before)
        assert scores.max() - scores.min() <= 0.3 * 1.001
        before = offset


def test_clicks_of_one_kind_add_up_and_stay_bounded() -> None:
    personal, draw, outcomes = a_personal(), np.random.default_rng(0), []
    for _ in range(300):
        personal.learn("u1", whole(consistent(draw)), 0, CONTEXT, outcome_weight=0.0)
        offset = personal.offset("u1")
        assert offset is not None
        outcomes.append(float(offset[0]))
    assert outcomes[0] < outcomes[4] < outcomes[19]
    assert max(outcomes) < 1.0
    np.testing.assert_array_equal(personal.blender.weights(CONTEXT), list(PRIOR.values()))


def test_what_all_users_learn_leaves_nothing_to_learn_for_each() -> None:
    personal, draw = a_personal(), np.random.default_rng(0)
    for number in range(3_000):
        personal.learn(f"u{number % 30}", whole(consistent(draw)), 0, CONTEXT)
    offset = personal.offset("u1")
    assert offset is not None
    assert abs(offset[0]) < 0.1 < personal.blender.weights(CONTEXT)[0] - PRIOR["near"]


def test_offsets_drain_longest_ago_first_and_go_on_elsewhere() -> None:
    personal, other, draw = a_personal(), a_personal(), np.random.default_rng(0)
    for user in ("u1", "u2", "u3", "u1"):
        personal.learn(user, whole(consistent(draw)), 0, CONTEXT)
    assert personal.changed_count == 3
    assert personal.drain(2) == ["u1", "u2"]
    assert (personal.changed_count, personal.drain(9), personal.drain(9)) == (1, ["u3"], [])
    for user in ("u1", "u2", "u3"):
        offset = personal.offset(user)
        assert offset is not None
        other.put(user, offset.copy())
        np.testing.assert_array_equal(other.offset(user), offset)
    assert other.changed_count == 0, "what was taken over has been told of"
    parts = whole(consistent(draw))
    for one in (personal, other):
        one.blender.restore(a_personal().blender.state())
        one.learn("u1", parts, 0, CONTEXT)
    np.testing.assert_array_equal(other.offset("u1"), personal.offset("u1"))
