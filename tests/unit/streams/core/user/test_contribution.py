"""Ten thousand actions of one user move an item no more than a few users do, whatever they are and however dated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest

from domain.timestamp import DAY_MS
from models import decay
from schemas.types import Interaction
from streams.core.item import item_stats
from streams.core.item.item_stats import HORIZON_RATES, ItemSignal, ItemState
from streams.core.item.link_events import link_event
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import day_limits, user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction
from tests.params import SIGNAL_PARAMS, USER_PARAMS

EVENTS = 10_000
HONEST_USERS = 8
"""The number of users with one click each that a flood counts as, at most."""
FOREVER = HORIZON_RATES.index(0.0)
ACTIONS = ("view", "click", "like", "save", "share", "purchase")


def _one_day(number: int) -> Interaction:
    return an_interaction(event_id=f"e{number}", item_id="i1", action="click", occurred_at=T0_MS + number)


def _growing_views(number: int) -> Interaction:
    return an_interaction(
        event_id=f"e{number}", item_id="i1", action="view", value=number / EVENTS, occurred_at=T0_MS + number
    )


def _dated_back(number: int) -> Interaction:
    at_ms = T0_MS - (EVENTS - number) * DAY_MS // 3
    return an_interaction(event_id=f"e{number}", item_id="i1", action="click", occurred_at=at_ms)


def _dated_back_among_others(number: int) -> Interaction:
    at_ms, item_id = T0_MS - (EVENTS - number) * DAY_MS // 3, f"i{number % 200 + 1}"
    return an_interaction(event_id=f"e{number}", item_id=item_id, action="click", occurred_at=at_ms)


def _ratings_dated_back(number: int) -> Interaction:
    at_ms = T0_MS - (EVENTS - number) * DAY_MS // 3
    return an_interaction(event_id=f"e{number}", item_id="i1", action="rate", value=5.0, occurred_at=at_ms)


def _clicks_and_skips(number: int) -> Interaction:
    action = "skip" if number % 2 else "click"
    return an_interaction(event_id=f"e{number}", item_id="i1", action=action, occurred_at=T0_MS + number)


FLOODS: dict[str, Callable[[int], Interaction]] = {
    "clicks of one day": _one_day,
    "views that are watched ever longer": _growing_views,
    "clicks dated back over nine years": _dated_back,
    "clicks dated back among other items": _dated_back_among_others,
    "ratings dated back": _ratings_dated_back,
    "clicks and skips in turn": _clicks_and_skips,
}


def flood(event_of: Callable[[int], Interaction]) -> tuple[ItemState, float]:
    """Return the state of the item after the events of one user, and the sum of the weights of its link events."""
    state, item, link_weight = UserState("bot"), ItemState("i1"), 0.0
    for event, position in _events(event_of):
        links = link_event(state, event, position, USER_PARAMS)
        signal = user_state.fold(state, event, position, subject=ItemLabels(), params=USER_PARAMS)
        if links is not None and links.item_id == "i1":
            link_weight += links.weight
        if signal is not None and signal.item_id == "i1":
            _count(item, signal)
    return item, link_weight


def _events(event_of: Callable[[int], Interaction]) -> Iterator[tuple[Interaction, Position]]:
    for number in range(EVENTS):
        yield event_of(number), Position(0, number, T0_MS + number)


def crowd(users: int) -> ItemState:
    """Return the state of the item after one click each by some users."""
    item = ItemState("i1")
    for number in range(users):
        position, click = Position(0, number, T0_MS + number), _one_day(number)
        state = UserState(f"user {number}")
        signal = user_state.fold(state, click, position, subject=ItemLabels(), params=USER_PARAMS)
        assert signal is not None
        _count(item, signal)
    return item


def _count(item: ItemState, signal: ItemSignal) -> None:
    item_stats.fold(item, item_stats.to_record([signal]), params=SIGNAL_PARAMS)


def sums(item: ItemState) -> dict[str, float]:
    """Return the decayed sums of an item at the end of the flood."""
    stats, rates = item_stats.stats(item), SIGNAL_PARAMS
    logs = {
        "trending": (stats.trending, rates.trending_rate),
        "popularity": (stats.popularity, rates.popularity_rate),
        "forever": (stats.horizons[FOREVER], 0.0),
    }
    return {name: decay.as_of(log_sum, at_ms=T0_MS, rate=rate) for name, (log_sum, rate) in logs.items()}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_moves_an_item_no_more_than_a_few_users(name: str) -> None:
    item, link_weight = flood(FLOODS[name])
    honest = sums(crowd(HONEST_USERS))
    for statistic, amount in sums(item).items():
        assert amount <= honest[statistic], statistic
    assert link_weight <= HONEST_USERS
    assert (item.evidence_for or 0.0) + item.rating_count <= HONEST_USERS
    assert (item.evidence_against or 0.0) <= HONEST_USERS


def test_a_user_is_evidence_once_a_day_for_an_item_and_once_against_it() -> None:
    item, _ = flood(_clicks_and_skips)
    assert (item.evidence_for, item.counts) == (1.0, {"click": EVENTS // 2, "skip": EVENTS // 2})
    assert item.evidence_against == pytest.approx(1.0, abs=0.02)


def test_evidence_of_an_item_from_before_it_was_summed_begins_with_its_counts() -> None:
    item = ItemState("i1", counts={"click": 3, "view": 1, "skip": 2, "rate": 7})
    _count(item, ItemSignal("i1", Position(0, 1, T0_MS), T0_MS, "click", 1.0, evidence=1.0))
    assert (item.evidence_for, item.evidence_against) == (5.0, 2.0)


def test_a_history_counts_in_full_for_items_that_do_not_repeat() -> None:
    state, weights = UserState("u1"), []
    for number in range(300):
        event = an_interaction(event_id=str(number), item_id=f"i{number}", occurred_at=T0_MS - (300 - number) * DAY_MS)
        position = Position(0, number, T0_MS + number)
        signal = user_state.fold(state, event, position, subject=ItemLabels(), params=USER_PARAMS)
        assert signal is not None
        weights.append(signal.weight)
    assert set(weights) == {1.0}


def test_days_that_arrive_on_their_own_day_count_in_full() -> None:
    state = UserState("u1")
    for day in range(100):
        at_ms = T0_MS + day * DAY_MS
        event = an_interaction(event_id=str(day), item_id="i1", action="click", occurred_at=at_ms)
        signal = user_state.fold(state, event, Position(0, day, at_ms + 5), subject=ItemLabels(), params=USER_PARAMS)
        assert signal is not None
        assert (signal.weight, signal.evidence) == (1.0, 1.0)
    assert not state.earlier_days


def test_what_is_remembered_of_a_history_is_bounded() -> None:
    state = UserState("u1")
    for number in range(2_000):
        event = an_interaction(
            event_id=str(number), item_id=f"i{number}", occurred_at=T0_MS - (2_000 - number) * DAY_MS
        )
        user_state.fold(state, event, Position(0, number, T0_MS), subject=ItemLabels(), params=USER_PARAMS)
    assert len(state.earlier_days) == USER_PARAMS.backdated_items
    assert math.isclose(day_limits.share(state, "new", T0_MS), 1.0)
