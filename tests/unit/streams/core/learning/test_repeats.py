"""Categories that repeat: learned from the returns of several users, and from nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.timestamp import DAY_MS
from infra.settings import Settings
from streams.core.learning.learner import Learner
from streams.core.learning.repeats import RepeatRates, returns
from streams.core.position import Position
from streams.core.ranking.pipeline import Candidates
from streams.core.user.user_state import UserState
from streams.roles.trainer.learner_params import learner_params
from tests.build import T0_MS, an_interaction, an_item

PLACES, FILMS = [f"place{n}" for n in range(6)], [f"film{n}" for n in range(200)]


def a_learner(*, rule: str = "auto") -> Learner:
    learner = Learner(learner_params(replace(Settings(), allow_repeat_items=rule)))
    for item_id in (*PLACES, *FILMS):
        learner.catalog.apply_item(an_item(item_id, category=item_id.rstrip("0123456789") + "s", created_at=1))
    return learner


def visit(learner: Learner, user_id: str, item_id: str, *, day: int = 0, action: str = "click") -> None:
    number = learner.events + 1
    at_ms = T0_MS + day * DAY_MS + number
    event = an_interaction(user_id=user_id, item_id=item_id, action=action, occurred_at=at_ms)
    learner.learn(event, Position(0, number, number), learn_weights=False)


def weeks_of(learner: Learner, users: int) -> None:
    """Have users visit two places in turn, and a new film on each day."""
    for day in range(5):
        for user in range(users):
            visit(learner, f"u{user}", PLACES[day % 2], day=day)
            visit(learner, f"u{user}", FILMS[day + 5 * user % 100], day=day)


def shown(candidates: Candidates, learner: Learner) -> set[str]:
    return {learner.catalog.items.names[index] for index in candidates.items[candidates.is_admissible].tolist()}


def test_places_are_shown_again_and_films_are_not_without_a_setting() -> None:
    learner = a_learner()
    assert not learner.repeats.categories
    weeks_of(learner, users=20)
    assert learner.repeats.categories == {"places"}
    candidates = learner.candidates("u0", T0_MS + 5 * DAY_MS)
    assert PLACES[0] in shown(candidates, learner)
    assert not {FILMS[0], FILMS[1]} & shown(candidates, learner)


def test_a_learned_category_gets_features_of_repeats_and_others_do_not() -> None:
    learner = a_learner()
    weeks_of(learner, users=20)
    candidates = learner.candidates("u0", T0_MS + 5 * DAY_MS)
    values = dict(zip(learner.blender.features, candidates.features.column(slice(None)), strict=True))
    place, film = (learner.catalog.items.get(name) for name in (PLACES[0], FILMS[4]))
    for name in ("again", "daily", "weekly", "lately_1"):
        assert not values[name][film]
    assert values["again"][place] > 0
    assert values["daily"][place] > 0


@pytest.mark.parametrize(("rule", "has_place", "has_film"), [
    ("true", True, True), ("false", False, False), ("places=false", False, False), ("films=yes", True, True),
    ("false, films=true", False, True),
])  # fmt: skip
def test_a_setting_overrules_what_is_learned(rule: str, *, has_place: bool, has_film: bool) -> None:
    learner = a_learner(rule=rule)
    weeks_of(learner, users=20)
    items = shown(learner.candidates("u0", T0_MS + 5 * DAY_MS), learner)
    assert (PLACES[0] in items, FILMS[0] in items) == (has_place, has_film)


def test_one_user_alone_makes_no_category_repeat_however_often_that_user_returns() -> None:
    learner = a_learner()
    for number in range(2_000):
        visit(learner, "bot", PLACES[number % 6])
    assert not learner.repeats.categories


def test_an_opinion_on_an_item_and_a_second_action_on_it_are_no_returns() -> None:
    learner, state = a_learner(), UserState("u1")
    acts = [("view", "film0"), ("click", "film0"), ("click", "film0"), ("click", "film1"), ("save", "film0")]
    for action, item_id in acts:
        state = learner._users.setdefault("u1", state)
        is_return = returns(state, an_interaction(item_id=item_id, action=action, occurred_at=T0_MS))
        assert not is_return
        assert (is_return is None) == (action in ("view", "save"))
        visit(learner, "u1", item_id, action=action)
    assert (
        returns(learner._users.setdefault("u1", state), an_interaction(item_id="film0", occurred_at=T0_MS)) is False
    ), "saved just now"
    visit(learner, "u1", "film2")
    assert returns(learner._users.setdefault("u1", state), an_interaction(item_id="film0", occurred_at=T0_MS)) is True


def test_a_category_between_the_two_rates_stays_as_it_is() -> None:
    rates = RepeatRates()
    changes = 0
    for share in (0.03, 0.10, 0.03, 0.01, 0.03):
        for number in range(30_000):
            before = rates.categories
            rates.add("places", is_return=number * share % 1.0 + share >= 1.0)
            changes += rates.categories != before
    assert changes == 2
    assert not rates.categories


def test_a_restart_continues_with_the_categories_before_it_unless_the_rates_contradict() -> None:
    rates = RepeatRates()
    for number in range(30_000):
        rates.add("places", is_return=number % 33 == 0)
        rates.add("pages", is_return=number % 5 == 0)
        rates.add("films", is_return=False)
    assert rates.categories == {"pages"}
    rates.restore(["places", "films", "new"], rates={}, visits={})
    assert rates.categories == {"places", "pages", "new"}


def test_a_successor_counts_on_from_published_rates() -> None:
    rates, successor = RepeatRates(), RepeatRates()
    for number in range(700):
        rates.add("places", is_return=number % 20 == 0)
    successor.restore(rates.categories, rates=rates.rates, visits=rates.visits)
    for number in range(700):
        for one in (rates, successor):
            one.add("places", is_return=number % 20 == 0)
    assert (successor.rates, successor.visits, successor.categories) == (rates.rates, rates.visits, rates.categories)


def test_the_number_of_categories_is_bounded() -> None:
    rates = RepeatRates()
    for number in range(5_000):
        for _ in range(2):
            rates.add("places", is_return=True)
        rates.add(f"category{number}", is_return=False)
    assert len(rates.rates) == len(rates.visits) == 1_000
    assert rates.categories == {"places"}
