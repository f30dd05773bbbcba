"""Whom is woken: who is there, once for each slot, whatever is repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS, HOUR_MS
from schemas.types import Item
from streams.core.params import TriggerParams
from streams.core.position import Position
from streams.core.triggers.active_users import USERS_PER_INTEREST, ActiveUser, ActiveUsers, active_user
from streams.core.triggers.schedule import parse
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.build import an_item
from tests.params import TRIGGER_PARAMS, USER_PARAMS

PARAMS = replace(
    TRIGGER_PARAMS, schedule=parse("fri 17:00 friday-evening, daily 07:30 morning"), default_timezone="Europe/Lisbon"
)
NOON_MS = round(datetime(2023, 11, 17, 12, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
"""Of a Friday."""


def users_with(**users: ActiveUser) -> ActiveUsers:
    active_users = ActiveUsers(PARAMS)
    for user_id, found_active_user in users.items():
        active_users.put(user_id, found_active_user)
    return active_users


def woken(
    active_users: ActiveUsers, after_ms: int = NOON_MS, upto_ms: int = NOON_MS + 12 * HOUR_MS
) -> list[tuple[str, str, int]]:
    due_users = active_users.due(after_ms, upto_ms)
    return [(each.user_id, each.reason, (each.occurred_at - NOON_MS) // HOUR_MS) for each in due_users]


def test_everyone_is_woken_by_their_own_clock_and_who_has_not_said_by_the_default() -> None:
    active_users = users_with(
        alex=ActiveUser("America/New_York", NOON_MS, -1),
        bea=ActiveUser("", NOON_MS, -1),
        kei=ActiveUser("Asia/Tokyo", NOON_MS, -1),
    )
    assert sorted(woken(active_users)) == [
        ("alex", "friday-evening", 10),
        ("alex", "morning", 0),
        ("bea", "friday-evening", 5),
        ("kei", "morning", 10),
    ]


def test_who_has_been_away_is_not_woken_and_forgotten_until_something_comes() -> None:
    old, recent = (ActiveUser("", NOON_MS - days * DAY_MS, -1) for days in (15, 13))
    active_users = users_with(gone=old, here=recent)
    assert [user_id for user_id, *_ in woken(active_users)] == ["here"]
    assert len(active_users) == 1
    active_users.put("gone", ActiveUser("", NOON_MS, -1))
    assert len(woken(active_users)) == 2


def test_what_is_recalled_is_older_than_what_is_noted_and_who_was_away_is_left_out() -> None:
    active_users = users_with(u1=ActiveUser("Asia/Tokyo", NOON_MS, -1))
    for user_id, active_at in (("u1", NOON_MS), ("u2", NOON_MS), ("u3", NOON_MS - 15 * DAY_MS)):
        active_users.restore(user_id, ActiveUser("", active_at, -1), now_ms=NOON_MS)
    assert sorted(user_id for user_id, reason, _ in woken(active_users) if reason == "friday-evening") == ["u2"]
    assert len(active_users) == 2


def test_a_slot_that_was_acted_on_is_passed_over_and_has_one_id_for_ever() -> None:
    state, params = UserState("u1", watermark=NOON_MS), replace(USER_PARAMS, triggers=PARAMS)
    [first] = users_with(u1=active_user(state)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    [again] = users_with(u1=active_user(state)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    assert first == again
    user_state.fold_trigger(state, first, Position(0, 0, NOON_MS), params)
    assert woken(users_with(u1=active_user(state))) == []


def test_who_flies_west_has_one_friday_evening() -> None:
    [east] = users_with(u1=ActiveUser("Europe/Lisbon", NOON_MS, -1)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    active_users = users_with(u1=ActiveUser("America/New_York", NOON_MS, -1))
    [west] = active_users.due(NOON_MS + 6 * HOUR_MS, NOON_MS + 11 * HOUR_MS)
    assert east.event_id == west.event_id


@given(st.lists(st.integers(1, 40 * HOUR_MS), min_size=1, max_size=20), st.integers(1, 5))
def test_however_often_it_looks_everyone_is_woken_once_for_each_slot(steps: list[int], users: int) -> None:
    def build() -> ActiveUsers:
        zones = ("Asia/Tokyo", "America/New_York", "")
        return users_with(**{f"u{n}": ActiveUser(zones[n % 3], NOON_MS + sum(steps), -1) for n in range(users)})

    often, at_ms, due_users = build(), NOON_MS, []
    for step in steps:
        due_users += [trigger.event_id for trigger in often.due(at_ms, at_ms + step)]
        at_ms += step
    assert len(due_users) == len(set(due_users))
    assert set(due_users) == {trigger.event_id for trigger in build().due(NOON_MS, at_ms)}


AWAY_PARAMS = replace(PARAMS, rerank_hours=24.0, inactive_days=3.0)


def rankings(active_users: ActiveUsers, after_ms: int, upto_ms: int) -> list[tuple[str, float]]:
    """Return the users to rank again, with the hours since noon."""
    due_users = active_users.due_rankings(after_ms, upto_ms)
    return [(each.user_id, round((each.occurred_at - NOON_MS) / HOUR_MS, 1)) for each in due_users]


def absent_users(params: TriggerParams = AWAY_PARAMS, **active_at: int) -> ActiveUsers:
    active_users = ActiveUsers(params)
    for user_id, at_ms in active_at.items():
        active_users.put(user_id, ActiveUser("", at_ms, -1))
    return active_users


def test_an_absent_user_is_ranked_again_each_day_until_inactive() -> None:
    active_users = absent_users(ann=NOON_MS, bob=NOON_MS + HOUR_MS)
    assert rankings(active_users, NOON_MS, NOON_MS + 23 * HOUR_MS) == []
    assert sorted(rankings(active_users, NOON_MS, NOON_MS + 200 * HOUR_MS)) == [
        *(("ann", hours) for hours in (24.0, 48.0, 72.0)),
        *(("bob", hours) for hours in (25.0, 49.0, 73.0)),
    ]
    assert len(active_users) == 0, "who is inactive is forgotten"


def test_whoever_acts_is_ranked_a_day_after_that() -> None:
    active_users = absent_users(ann=NOON_MS)
    active_users.put("ann", ActiveUser("", NOON_MS + 20 * HOUR_MS, -1))
    assert rankings(active_users, NOON_MS, NOON_MS + 45 * HOUR_MS) == [("ann", 44.0)]


def test_a_ranking_that_took_effect_is_not_asked_for_again_and_has_one_id() -> None:
    state, params = UserState("u1", watermark=NOON_MS), replace(USER_PARAMS, triggers=AWAY_PARAMS)
    upto_ms = NOON_MS + 25 * HOUR_MS
    active_users, others = absent_users(u1=NOON_MS), absent_users(u1=NOON_MS)
    [first] = active_users.due_rankings(NOON_MS, upto_ms)
    assert [first] == list(others.due_rankings(NOON_MS, upto_ms))
    user_state.fold_trigger(state, first, Position(0, 0, upto_ms), params)
    assert state.version == upto_ms, "so that the user is ranked"
    active_users.put("u1", active_user(state))
    assert list(active_users.due_rankings(NOON_MS, upto_ms)) == []


def test_users_who_are_handed_over_meanwhile_are_left_out() -> None:
    active_users = absent_users(ann=NOON_MS, bob=NOON_MS)
    due_users = active_users.due_rankings(NOON_MS, NOON_MS + 25 * HOUR_MS)
    assert next(due_users).user_id == "ann"
    active_users.clear()
    assert list(due_users) == []


def test_no_one_is_ranked_again_where_that_is_off() -> None:
    active_users = absent_users(replace(AWAY_PARAMS, rerank_hours=0.0), ann=NOON_MS)
    assert rankings(active_users, NOON_MS, NOON_MS + 100 * HOUR_MS) == []


@given(
    st.lists(st.integers(1, 3 * HOUR_MS), min_size=1, max_size=30),
    st.lists(st.integers(0, 30 * HOUR_MS), min_size=1, max_size=5),
)
def test_however_often_it_looks_absent_users_are_ranked_once_each_day(steps: list[int], ages_ms: list[int]) -> None:
    def build() -> ActiveUsers:
        return absent_users(**{f"u{number}": NOON_MS - age_ms for number, age_ms in enumerate(ages_ms)})

    often, at_ms, due_users = build(), NOON_MS, []
    for step in steps:
        due_users += [trigger.event_id for trigger in often.due_rankings(at_ms, at_ms + step)]
        at_ms += step
    assert len(due_users) == len(set(due_users))
    assert set(due_users) == {trigger.event_id for trigger in build().due_rankings(NOON_MS, at_ms)}


def fans(*interests: str, city: str = "", reranked_at: int = -1) -> ActiveUser:
    return ActiveUser("", NOON_MS, -1, reranked_at, interests, city)


def ranked_for(active_users: ActiveUsers, now_ms: int = NOON_MS, most: int = 100) -> list[str]:
    return [trigger.user_id for trigger in active_users.due_new_items(now_ms, most)]


def test_a_new_item_has_those_ranked_whom_it_fits() -> None:
    active_users = users_with(
        ann=fans("jazz", "folk"), bea=fans("cooking", city="lisbon"), cem=fans("music", city="porto"), dee=fans("opera")
    )
    active_users.arrive(an_item("new", topics=["jazz", "opera"], city="Porto", created_at=NOON_MS), now_ms=NOON_MS)
    active_users.arrive(an_item("plain", topics=[], category="music", created_at=NOON_MS), now_ms=NOON_MS)
    triggers = {trigger.user_id: trigger for trigger in active_users.due_new_items(NOON_MS, 100)}
    assert sorted(triggers) == ["ann", "cem", "dee"]
    ann = triggers["ann"]
    assert (ann.kind, ann.reason, ann.occurred_at) == ("rerank", "new-item", NOON_MS)
    assert ranked_for(active_users) == [], "once"


@pytest.mark.parametrize(
    "item",
    [
        an_item("elsewhere", topics=["jazz"], city="Braga", created_at=NOON_MS),
        an_item("old", topics=["jazz"], created_at=NOON_MS - DAY_MS - 1),
        an_item("of one user", topics=["jazz"], private=True, created_at=NOON_MS),
        an_item("other", topics=["cooking"], category="jazz", created_at=NOON_MS),
    ],
    ids=lambda item: item.item_id,
)
def test_an_item_that_fits_nobody_has_nobody_ranked(item: Item) -> None:
    active_users = users_with(ann=fans("jazz", city="porto"))
    active_users.arrive(item, now_ms=NOON_MS)
    assert ranked_for(active_users) == []


def test_who_was_just_ranked_for_an_item_is_ranked_for_the_next_one_after_the_window() -> None:
    active_users = users_with(ann=fans("jazz"))
    for number in range(2):
        active_users.arrive(an_item(f"new {number}", topics=["jazz"], created_at=NOON_MS), now_ms=NOON_MS)
        if not number:
            assert ranked_for(active_users) == ["ann"]
            active_users.put("ann", fans("jazz", reranked_at=NOON_MS))
    assert ranked_for(active_users) == []
    assert ranked_for(active_users, NOON_MS + PARAMS.window_ms) == ["ann"]


def test_of_many_fans_those_who_acted_last_are_ranked_so_many_at_a_time() -> None:
    active_users = users_with(**{f"u{number}": fans("jazz") for number in range(USERS_PER_INTEREST + 10)})
    active_users.put("u0", fans("jazz"))
    active_users.arrive(an_item("new", topics=["jazz"], category="", created_at=NOON_MS), now_ms=NOON_MS)
    first, second = ranked_for(active_users, most=1_500), ranked_for(active_users, most=1_500)
    assert (len(first), len(second)) == (1_500, USERS_PER_INTEREST - 1_500)
    assert first[0] == "u0"
    assert "u1" not in first + second


def test_who_is_forgotten_or_has_other_interests_now_is_not_ranked() -> None:
    active_users = users_with(ann=fans("jazz"), bea=fans("jazz"), cem=fans("jazz"))
    active_users.forget("ann")
    active_users.put("bea", fans("opera"))
    item = an_item("new", topics=["jazz"], created_at=NOON_MS)
    active_users.arrive(item, now_ms=NOON_MS)
    active_users.forget("cem")
    assert ranked_for(active_users) == []


def test_the_strongest_interests_are_those_stated_and_those_of_most_actions() -> None:
    state = UserState("ann", preferred=["opera"], topics={"jazz": 3.0, "folk": 1.0, "polka": -2.0}, city="Porto")
    state.categories = {"music": 2.0, "films": 0.5}
    assert active_user(state)[4:] == (("opera", "jazz", "music", "folk"), "porto")
