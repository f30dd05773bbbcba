"""Learning within a moment: its later events are held against what was known before it, and by then."""

from __future__ import annotations

import numpy as np
import pytest

from infra.settings import Settings
from schemas.types import Interaction
from streams.core.learner import Learner
from streams.core.part import followed
from streams.core.person import CLASSES
from streams.core.position import Position
from streams.core.rank import Look
from streams.jobs.params import learner_params
from tests.build import T0_MS, an_interaction, an_item


def a_learner(heard: list[tuple[Look, int]]) -> Learner:
    learner = Learner(learner_params(Settings()), on_outcome=lambda seen, taken: heard.append((seen, taken)))
    for number in range(30):
        learner.view.apply_item(an_item(f"i{number}", created_at=T0_MS - 1))
    for number in range(20):
        learn(learner, number, an_interaction(user_id="other", item_id=f"i{number}", occurred_at=T0_MS + number))
    heard.clear()
    return learner


def learn(learner: Learner, number: int, event: Interaction) -> None:
    learner.learn(event, Position(0, number, number + 1))


def test_a_later_event_of_a_moment_is_an_outcome_of_both_lists() -> None:
    heard: list[tuple[Look, int]] = []
    learner = a_learner(heard)
    for number, item in enumerate(("i1", "i2"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + 60_000))
    before, again, by_then = (seen for seen, _ in heard)
    assert again is before
    assert not len(before.whom.history)
    assert [learner.view.items.names[item] for item in by_then.whom.history] == ["i1"]


def test_events_of_different_times_are_each_an_outcome_once() -> None:
    heard: list[tuple[Look, int]] = []
    learner = a_learner(heard)
    for number, item in enumerate(("i1", "i2"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + 60_000 * number))
    assert len(heard) == 2


def test_a_list_asked_for_within_a_moment_knows_its_events() -> None:
    learner = a_learner([])
    learn(learner, 20, an_interaction(user_id="u1", item_id="i1", occurred_at=T0_MS + 60_000))
    assert len(learner.look("u1", T0_MS + 60_000).whom.history) == 1


def test_the_context_tells_how_much_is_known_of_the_last_item() -> None:
    learner = a_learner([])
    assert learner.look("nobody", T0_MS + 60_000).whom.context[2] == 0
    learn(learner, 20, an_interaction(user_id="u1", item_id="i25", occurred_at=T0_MS + 60_000))
    rare = learner.look("u1", T0_MS + 61_000).whom.context[2]
    for number in range(21, 40):
        learn(learner, number, an_interaction(user_id=f"fan{number}", item_id="i25", occurred_at=T0_MS + 61_000))
    assert learner.look("u1", T0_MS + 62_000).whom.context[2] > rare > 0


def test_the_context_tells_how_much_of_a_history_are_returns_and_whether_the_last_event_was_one() -> None:
    learner = a_learner([])

    def returns(*items: str) -> int:
        user_id = "-".join(items)
        for number, item in enumerate(items, start=learner.events + 20):
            learn(learner, number, an_interaction(user_id=user_id, item_id=item, occurred_at=T0_MS + number))
        return learner.look(user_id, T0_MS + 60_000).whom.context[3]

    assert learner.look("nobody", T0_MS + 60_000).whom.context[3] == returns("i1", "i2", "i3") == 0
    new, back = returns("i1", "i2", "i1", "i3"), returns("i1", "i2", "i3", "i1")
    assert 0 < new < returns("i1", "i2", "i1", "i2", "i1", "i3") < back
    assert back < CLASSES[3]


def test_what_a_person_went_on_to_after_being_at_an_item_is_told_the_newest_time_most() -> None:
    learner = a_learner([])
    for number, item in enumerate(("i1", "i2", "i1", "i3", "i1", "i3", "i1"), start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + number))
    column = followed(learner.look("u1", T0_MS + 60_000).whom, learner.view, slice(None))
    told = {learner.view.items.names[at]: float(column[at]) for at in np.flatnonzero(column)}
    assert told == pytest.approx({"i3": 1.0, "i2": 0.64})


@pytest.mark.parametrize("items", [(), ("i1",), ("i1", "i2")])
def test_nothing_is_told_to_follow_an_item_that_a_person_is_at_for_the_first_time(items: tuple[str, ...]) -> None:
    learner = a_learner([])
    for number, item in enumerate(items, start=20):
        learn(learner, number, an_interaction(user_id="u1", item_id=item, occurred_at=T0_MS + number))
    assert not followed(learner.look("u1", T0_MS + 60_000).whom, learner.view, slice(None)).any()
