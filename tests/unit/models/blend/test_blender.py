"""The shared weights: steady against single outcomes, and following many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.blend.blender import Blender
from tests.build import whole

PRIOR = {"near": 0.9, "popular": 0.3, "affinity": 1.0, "silent": 0.0}
CLASSES = (3, 2)
CONTEXT = (1, 0)
VALUES = st.one_of(st.just(0.0), st.floats(0.0, 10.0, width=32), st.floats(-1e3, 1e3, width=32))


def a_blender() -> Blender:
    return Blender(PRIOR, CLASSES)


def moved(blender: Blender, since: NDArray[np.float64]) -> float:
    return float(np.abs(blender.weights(CONTEXT) - since).max())


@st.composite
def choices(draw: st.DrawFn) -> tuple[NDArray[np.float32], int]:
    """Return (parts, n) parts of candidates, and the place of the chosen one."""
    count = draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(VALUES, min_size=count, max_size=count), min_size=4, max_size=4))
    return np.array(rows, np.float32), draw(st.integers(0, count - 1))


@given(choice=choices())
def test_one_outcome_moves_no_weight_by_more_than_a_hundredth(choice: tuple[NDArray[np.float32], int]) -> None:
    parts, chosen_index = choice
    blender = a_blender()
    before = blender.weights(CONTEXT).copy()
    blender.learn(whole(parts), chosen_index, CONTEXT)
    assert moved(blender, before) <= 0.01
    assert np.isfinite(blender.table).all()


@given(choice=choices())
def test_twenty_equal_outcomes_move_no_weight_by_more_than_a_quarter(choice: tuple[NDArray[np.float32], int]) -> None:
    """No stream is as one-sided: each of them moves all weights of its context the same way, whatever the parts."""
    parts, chosen_index = choice
    blender = a_blender()
    before = blender.weights(CONTEXT).copy()
    for _ in range(20):
        blender.learn(whole(parts), chosen_index, CONTEXT)
    assert moved(blender, before) <= 0.25
    assert np.isfinite(blender.state()["squares"]).all()


@given(choices=st.lists(choices(), max_size=60))
def test_weights_stay_near_the_first_ones_until_outcomes_have_earned_more(
    choices: list[tuple[NDArray[np.float32], int]],
) -> None:
    blender = a_blender()
    first = blender.table.copy()
    for parts, chosen_index in choices:
        blender.learn(whole(parts), chosen_index, CONTEXT)
        assert np.abs(blender.table - first).max() <= 1.0 + blender.outcomes / 500.0


def consistent(draw: np.random.Generator) -> NDArray[np.float32]:
    """Return the parts of ten candidates, of which the first is the one that is near and not popular."""
    parts = draw.random((4, 10)).astype(np.float32)
    parts[0, 0], parts[1, 0], parts[3] = 3.0, 0.0, 0.0
    return parts


@pytest.mark.parametrize("outcomes", [500, 3_000])
def test_many_consistent_outcomes_move_the_weights_where_they_point(outcomes: int) -> None:
    blender, draw = a_blender(), np.random.default_rng(0)
    before = blender.weights(CONTEXT).copy()
    for _ in range(outcomes):
        blender.learn(whole(consistent(draw)), 0, CONTEXT)
    change = blender.weights(CONTEXT) - before
    assert change[0] > 0.3
    assert change[1] < -0.3
    assert change[3] == 0.0, "nothing is learned of what is silent"
    other = blender.weights((0, 1)) - before
    assert 0.0 < other[0] < change[0], "others learn of it by the shared row alone"


def test_a_tenth_of_a_share_moves_the_shared_weights_by_a_tenth_at_most() -> None:
    parts, whole_share, tenth = consistent(np.random.default_rng(0)), a_blender(), a_blender()
    before = a_blender().weights(CONTEXT)
    whole_share.learn(whole(parts), 0, CONTEXT)
    tenth.learn(whole(parts), 0, CONTEXT, outcome_weight=0.1)
    assert 0.0 < moved(tenth, before) <= 0.1 * moved(whole_share, before)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_parts_that_are_no_numbers_teach_nothing(wrong: float) -> None:
    parts = consistent(np.random.default_rng(0))
    parts[2, 3] = wrong
    blender = a_blender()
    before = blender.weights(CONTEXT).copy()
    with np.errstate(invalid="ignore"):
        blender.learn(whole(parts), 0, CONTEXT)
    np.testing.assert_array_equal(blender.weights(CONTEXT), before)


def test_a_blender_goes_on_from_its_state() -> None:
    blender, other, draw = a_blender(), a_blender(), np.random.default_rng(0)
    for _ in range(100):
        blender.learn(whole(consistent(draw)), 0, CONTEXT)
    other.restore({name: array.copy() for name, array in blender.state().items()})
    assert other.outcomes == blender.outcomes == 100
    for name, array in blender.state().items():
        np.testing.assert_array_equal(array, other.state()[name])
    other.learn(whole(consistent(draw)), 0, CONTEXT)
    assert 0.0 < moved(other, blender.weights(CONTEXT)) <= 0.01


def test_the_state_of_other_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        a_blender().restore(Blender({"near": 1.0}, CLASSES).state())
