"""Choices of users: whoever joins or leaves moves the sums by a bounded distance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS
from streams.core.item.item_stats import cohort_of
from streams.core.item.user_choices import (
    AGES,
    FIRST,
    FIRST_COHORTS,
    FIRST_ITEMS,
    LAST,
    UNITS,
    UserChoices,
)
from tests.build import T0_MS

ITEMS = [f"i{number}" for number in range(100)]
ACTIONS = st.tuples(
    st.sampled_from([*ITEMS, "elsewhere"]), st.floats(-3.0, 5.0), st.integers(T0_MS - 200 * DAY_MS, T0_MS + DAY_MS)
)


@given(st.lists(ACTIONS, max_size=120), st.lists(st.sampled_from(ITEMS), unique=True), st.integers(0, 10_000))
def test_a_user_moves_the_sums_of_each_kind_by_a_bounded_distance(
    history: list[tuple[str, float, int]], first_items: list[str], earlier: int
) -> None:
    choices = UserChoices()
    others = [(item, 1.0, T0_MS) for item in ITEMS]
    choices.put("other", others, seen_items=ITEMS, event_count=100, segment="all")
    before = choices.by_cell(ITEMS, T0_MS), choices.in_segment("all", ITEMS)
    choices.put("user", history, seen_items=first_items, event_count=earlier + len(history), segment="all")
    moves = (choices.by_cell(ITEMS, T0_MS) - before[0]) / UNITS
    later = AGES + FIRST_COHORTS
    in_segment = (choices.in_segment("all", ITEMS) - before[1]) / UNITS
    bounds = (moves[:, :AGES], LAST), (moves[:, AGES:later], FIRST), (moves[:, later:], LAST), (in_segment, LAST)
    for part, bound in bounds:
        assert (part**2).sum() <= bound
        assert 0.0 <= part.min(initial=0.0) <= part.max(initial=0.0) <= 1.0
    choices.forget("user")
    assert (choices.by_cell(ITEMS, T0_MS) == before[0]).all()


def test_choices_count_by_their_weight_by_age_and_by_the_length_of_the_history() -> None:
    choices = UserChoices()
    history = [("new", 5.0, T0_MS), ("bad", -1.0, T0_MS), ("old", 0.25, T0_MS - 20 * DAY_MS)]
    choices.put("user", history, seen_items=["old", "bad", "new"], event_count=3)
    cells = choices.by_cell(["old", "bad", "new"], T0_MS)
    assert [(*index, int(cells[*index])) for index in np.argwhere(cells).tolist()] == [
        (0, 2, UNITS // 4),
        (0, AGES, UNITS // 4),
        (2, 0, UNITS),
        (2, AGES + 1, UNITS),
    ]


def test_the_first_choices_of_a_long_history_still_count() -> None:
    choices, items = UserChoices(), [f"i{number}" for number in range(200)]
    history = [(item, 1.0, T0_MS) for item in reversed(items[100:])]
    choices.put("user", history, seen_items=items, event_count=200)
    cells = choices.by_cell(items, T0_MS)
    by_age, by_cohort = cells[:, :AGES].sum(axis=1), cells[:, AGES:]
    assert by_age.nonzero()[0].tolist() == list(range(200 - int(LAST), 200))
    assert by_cohort.nonzero()[0].tolist() == [*range(FIRST_ITEMS), *range(200 - int(LAST), 200)]
    assert by_cohort[0].tolist() == [UNITS, 0, 0, 0, 0, 0]


def test_the_first_items_are_those_of_the_first_cohorts() -> None:
    assert [cohort_of(FIRST_ITEMS - 1), cohort_of(FIRST_ITEMS)] == [FIRST_COHORTS - 1, FIRST_COHORTS]
    assert FIRST_ITEMS == FIRST


def test_nobody_has_chosen_anything() -> None:
    choices = UserChoices()
    choices.put("user", [], seen_items=[], event_count=0, segment="fans")
    assert not choices.by_cell(ITEMS, T0_MS).any()
    assert not choices.in_segment("fans", ITEMS).any()
    assert not choices.by_cell([], T0_MS).size


def test_beyond_a_number_of_users_those_set_first_are_dropped() -> None:
    choices = UserChoices(most_users=2)
    for user in ("first", "second", "first", "third"):
        choices.put(user, [("jazz", 1.0, T0_MS)], seen_items=["jazz"], event_count=1, segment=user)
    assert choices.users_by_segment() == {"first": 1, "third": 1}
