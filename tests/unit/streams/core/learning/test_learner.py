"""Outcomes that the blend learns from: within a moment, after a view, and once for each item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.settings import Settings
from schemas.types import Interaction
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.catalog.item_columns import Column
from streams.core.ranking.ordering import Candidates
from streams.core.ranking.ranking_query import CLASSES
from streams.core.ranking.stages.features import FEATURES
from streams.roles.trainer.learner_params import learner_params
from tests.build import T0_MS, an_interaction, an_item


def a_learner(outcome_log: list[tuple[Candidates, int]], **settings: Any) -> Learner:
    params = learner_params(replace(Settings(), **settings))
    learner = Learner(params, on_outcome=lambda candidates, choice: outcome_log.append((candidates, choice)))
    for number in range(30):
        learner.catalog.apply_item(an_item(f"i{number}", created_at=T0_MS - 1))
    for number in range(20):
        learn(learner, number, an_interaction(user_id="other", item_id=f"i{number}", occurred_at=T0_MS + number))
    outcome_log.clear()
    return learner


def learn(learner: Learner, number: int, event: Interaction) -> None:
    learner.learn(event, Position(0, number, number + 1))


def test_a_later_event_of_a_moment_is_an_outcome_of_both_lists() -> None:
    outcome_log: list[tuple[Candidates, int]] = []
    learner = a_learner(outcome_log)
    for number, item in enumerate(("i1", "i2"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + 60_000))
    before, again, by_then = (candidates for candidates, _ in outcome_log)
    assert again is before
    assert not len(before.query.history)
    assert [learner.catalog.items.names[item] for item in by_then.query.history] == ["i1"]


def test_events_of_different_times_are_each_an_outcome_once() -> None:
    outcome_log: list[tuple[Candidates, int]] = []
    learner = a_learner(outcome_log)
    for number, item in enumerate(("i1", "i2"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + 60_000 * number))
    assert len(outcome_log) == 2


def test_a_list_asked_for_within_a_moment_knows_its_events() -> None:
    learner = a_learner([])
    learn(learner, 20, an_interaction(user_id="u1", item_id="i1", occurred_at=T0_MS + 60_000))
    assert len(learner.candidates("u1", T0_MS + 60_000).query.history) == 1


def test_the_context_contains_the_event_count_class_of_the_last_item() -> None:
    learner = a_learner([])
    assert learner.candidates("nobody", T0_MS + 60_000).query.context[2] == 0
    learn(learner, 20, an_interaction(user_id="u1", item_id="i25", occurred_at=T0_MS + 60_000))
    rare = learner.candidates("u1", T0_MS + 61_000).query.context[2]
    for number in range(21, 40):
        learn(learner, number, an_interaction(user_id=f"fan{number}", item_id="i25", occurred_at=T0_MS + 61_000))
    assert learner.candidates("u1", T0_MS + 62_000).query.context[2] > rare > 0


def test_the_context_contains_the_share_of_returns_and_the_last_events_class() -> None:
    learner = a_learner([])

    def returns(*items: str) -> int:
        user_id = "-".join(items)
        for number, item in enumerate(items, start=learner.events + 20):
            learn(learner, number, an_interaction(user_id=user_id, item_id=item, occurred_at=T0_MS + number))
        return learner.candidates(user_id, T0_MS + 60_000).query.context[3]

    assert learner.candidates("nobody", T0_MS + 60_000).query.context[3] == returns("i1", "i2", "i3") == 0
    new, back = returns("i1", "i2", "i1", "i3"), returns("i1", "i2", "i3", "i1")
    assert 0 < new < returns("i1", "i2", "i1", "i2", "i1", "i3") < back
    assert back < CLASSES[3]


def followed(learner: Learner) -> Column:
    """Return (items,) values of the feature `followed` for u1."""
    compute = FEATURES["followed"].compute
    assert compute is not None
    return compute(learner.candidates("u1", T0_MS + 60_000).query, learner.catalog, slice(None))


def test_the_newest_transition_from_an_item_counts_most() -> None:
    learner = a_learner([], allow_repeat_items="true")
    for number, item in enumerate(("i1", "i2", "i1", "i3", "i1", "i3", "i1"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + number))
    column = followed(learner)
    scores = {learner.catalog.items.names[at]: float(column[at]) for at in np.flatnonzero(column)}
    assert scores == pytest.approx({"i3": 1.0, "i2": 0.64})


@pytest.mark.parametrize("items", [(), ("i1",), ("i1", "i2")])
def test_nothing_follows_an_item_that_the_user_visits_first(items: tuple[str, ...]) -> None:
    learner = a_learner([])
    for number, item in enumerate(items, start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + number))
    assert not followed(learner).any()


Act = tuple[str, str, int]
"""An action of u1, its item, and when in ms after `START_MS`."""
START_MS = T0_MS + 3_600_000
HALF_AN_HOUR_MS = 30 * 60_000


def outcomes(acts: Iterable[Act], outcome_log: list[tuple[Candidates, int]], **settings: Any) -> list[list[Candidates]]:
    """Have a learner learn events of u1; return the lists that each was held against."""
    learner, results = a_learner(outcome_log, **settings), []
    for number, (action, item_id, after_ms) in enumerate(acts, start=20):
        event = an_interaction(user_id="u1", item_id=item_id, action=action, occurred_at=START_MS + after_ms)
        outcome_log.clear()
        learn(learner, number, event)
        index = learner.catalog.items.get(item_id)
        assert all(candidates.items[choice] == index for candidates, choice in outcome_log)
        results.append([candidates for candidates, _ in outcome_log])
    return results


def history(candidates: Candidates) -> list[str]:
    """Return the items that a list was made after, newest first; `a_learner` numbers them in order."""
    return [f"i{index}" for index in candidates.query.history]


@pytest.mark.parametrize("actions", [("click", "click"), ("click", "like"), ("like", "save", "share"), ("click",) * 50])
def test_events_on_one_item_at_one_moment_are_one_outcome(actions: tuple[str, ...]) -> None:
    outcome = outcomes([(action, "i25", 0) for action in actions], [])
    assert [len(lists) for lists in outcome] == [1] + [0] * (len(actions) - 1)


@pytest.mark.parametrize("shown_again", [False, True])
def test_an_item_is_one_outcome_of_a_moment_whatever_comes_between(shown_again: bool) -> None:
    items = ("i21", "i22", "i21", "i23", "i22", "i21", "i23")
    outcome = outcomes([("click", item_id, 0) for item_id in items], [], allow_repeat_items=str(shown_again))
    assert [bool(lists) for lists in outcome] == [True, True, False, True, False, False, False]


def test_a_click_after_a_view_is_no_second_outcome_of_its_moment() -> None:
    acts = [("like", "i21", 0), ("view", "i22", 0), ("click", "i22", 0), ("like", "i22", 0), ("click", "i22", 0)]
    assert [len(lists) for lists in outcomes(acts, [])] == [1, 0, 1, 0, 0]


def test_an_item_is_an_outcome_of_each_moment_where_items_are_shown_again() -> None:
    acts = [("click", "i25", after_ms) for after_ms in (0, 0, 1, 1, 60_000, 60_000)]
    assert [len(lists) for lists in outcomes(acts, [], allow_repeat_items="true")] == [1, 0, 1, 0, 1, 0]


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["view", "click", "like", "skip", "dislike", "purchase"]),
            st.sampled_from(["i21", "i22", "i23"]),
            st.just(0),
        ),
        max_size=12,
    ),
    shown_again=st.booleans(),
)
@example(acts=[("like", "i21", 0), ("view", "i22", 0), ("click", "i22", 0), ("click", "i22", 0)], shown_again=False)
def test_no_item_is_more_than_one_outcome_of_a_moment(acts: list[Act], shown_again: bool) -> None:
    outcome = outcomes(acts, [], allow_repeat_items=str(shown_again))
    counts = Counter(item_id for (_, item_id, _), lists in zip(acts, outcome, strict=True) if lists)
    assert all(count == 1 for count in counts.values())


@pytest.mark.parametrize("after_ms", [0, 1, 1_000, 60_000, HALF_AN_HOUR_MS])
@pytest.mark.parametrize("action", ["click", "like", "purchase"])
def test_an_action_soon_after_a_view_is_held_against_what_there_was_before_the_view(action: str, after_ms: int) -> None:
    before = a_learner([])
    learn(before, 20, an_interaction(user_id="u1", item_id="i1", occurred_at=START_MS - 60_000))
    candidates = before.candidates("u1", START_MS)
    view, [outcome] = outcomes(
        [("click", "i1", -60_000), ("view", "i25", 0), (action, "i25", after_ms)],
        [],
    )[1:]
    assert not view, "a view is no outcome"
    assert history(outcome) == ["i1"]
    assert outcome.query.context == candidates.query.context
    assert outcome.items.tolist() == candidates.items.tolist()
    assert outcome.is_admissible.tolist() == candidates.is_admissible.tolist()


def test_an_action_after_several_views_is_held_against_what_there_was_before_the_first() -> None:
    acts = [("view", "i25", 0), ("view", "i24", 1_000), ("view", "i25", 2_000), ("click", "i25", 3_000)]
    [outcome] = outcomes(acts, [])[-1]
    assert history(outcome) == ["i24"], "views of other items count as what was known"


def test_an_action_long_after_a_view_is_of_an_item_that_is_not_shown_again() -> None:
    assert outcomes([("view", "i25", 0), ("click", "i25", HALF_AN_HOUR_MS + 1)], []) == [[], []]


@pytest.mark.parametrize("action", ["click", "like", "dislike", "skip"])
def test_an_item_that_was_judged_since_it_was_viewed_is_no_outcome_again(action: str) -> None:
    acts = [("view", "i25", 0), (action, "i25", 1_000), ("like", "i25", 2_000)]
    assert outcomes(acts, [])[-1] == []


def test_an_action_after_a_view_of_another_item_is_held_against_what_there_is_by_now() -> None:
    [outcome] = outcomes([("view", "i24", 0), ("click", "i25", 1_000)], [])[-1]
    assert history(outcome) == ["i24"]


def test_where_items_are_shown_again_a_view_does_not_change_what_an_action_is_held_against() -> None:
    [outcome] = outcomes([("view", "i25", 0), ("click", "i25", 1_000)], [], allow_repeat_items="true")[-1]
    assert history(outcome) == ["i25"]
