"""Whom is woken: who is there, once for each slot, whatever is repeated."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS, HOUR_MS
from streams.core.position import Position
from streams.core.triggers.active_users import ActiveUser, ActiveUsers, active_user
from streams.core.triggers.schedule import parse
from streams.core.user import user_state as user
from streams.core.user.user_state import UserState
from tests.params import TRIGGER_PARAMS, USER_PARAMS

PARAMS = replace(
    TRIGGER_PARAMS, schedule=parse("fri 17:00 friday-evening, daily 07:30 morning"), default_timezone="Europe/Lisbon"
)
NOON_MS = round(datetime(2023, 11, 17, 12, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
"""Of a Friday."""


def a_roster(**sleepers: ActiveUser) -> ActiveUsers:
    roster = ActiveUsers(PARAMS)
    for user_id, found_active_user in sleepers.items():
        roster.put(user_id, found_active_user)
    return roster


def woken(
    roster: ActiveUsers, after_ms: int = NOON_MS, upto_ms: int = NOON_MS + 12 * HOUR_MS
) -> list[tuple[str, str, int]]:
    due_users = roster.due(after_ms, upto_ms)
    return [(each.user_id, each.reason, (each.occurred_at - NOON_MS) // HOUR_MS) for each in due_users]


def test_everyone_is_woken_by_their_own_clock_and_who_has_not_said_by_the_default() -> None:
    roster = a_roster(
        alex=ActiveUser("America/New_York", NOON_MS, -1),
        bea=ActiveUser("", NOON_MS, -1),
        kei=ActiveUser("Asia/Tokyo", NOON_MS, -1),
    )
    assert sorted(woken(roster)) == [
        ("alex", "friday-evening", 10),
        ("alex", "morning", 0),
        ("bea", "friday-evening", 5),
        ("kei", "morning", 10),
    ]


def test_who_has_been_away_is_not_woken_and_forgotten_until_something_comes() -> None:
    roster = a_roster(gone=ActiveUser("", NOON_MS - 15 * DAY_MS, -1), here=ActiveUser("", NOON_MS - 13 * DAY_MS, -1))
    assert [user_id for user_id, *_ in woken(roster)] == ["here"]
    assert len(roster) == 1
    roster.put("gone", ActiveUser("", NOON_MS, -1))
    assert len(woken(roster)) == 2


def test_what_is_recalled_is_older_than_what_is_noted_and_who_was_away_is_left_out() -> None:
    roster = a_roster(u1=ActiveUser("Asia/Tokyo", NOON_MS, -1))
    for user_id, active_at in (("u1", NOON_MS), ("u2", NOON_MS), ("u3", NOON_MS - 15 * DAY_MS)):
        roster.restore(user_id, ActiveUser("", active_at, -1), now_ms=NOON_MS)
    assert sorted(user_id for user_id, reason, _ in woken(roster) if reason == "friday-evening") == ["u2"]
    assert len(roster) == 2


def test_a_slot_that_was_acted_on_is_passed_over_and_has_one_id_for_ever() -> None:
    state, params = UserState("u1", watermark=NOON_MS), replace(USER_PARAMS, triggers=PARAMS)
    [first] = a_roster(u1=active_user(state)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    [again] = a_roster(u1=active_user(state)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    assert first == again
    user.fold_trigger(state, first, Position(0, 0, NOON_MS), params)
    assert woken(a_roster(u1=active_user(state))) == []


def test_who_flies_west_has_one_friday_evening() -> None:
    [east] = a_roster(u1=ActiveUser("Europe/Lisbon", NOON_MS, -1)).due(NOON_MS, NOON_MS + 6 * HOUR_MS)
    [west] = a_roster(u1=ActiveUser("America/New_York", NOON_MS, -1)).due(NOON_MS + 6 * HOUR_MS, NOON_MS + 11 * HOUR_MS)
    assert east.event_id == west.event_id


@given(st.lists(st.integers(1, 40 * HOUR_MS), min_size=1, max_size=20), st.integers(1, 5))
def test_however_often_it_looks_everyone_is_woken_once_for_each_slot(steps: list[int], users: int) -> None:
    def roster() -> ActiveUsers:
        zones = ("Asia/Tokyo", "America/New_York", "")
        return a_roster(**{f"u{n}": ActiveUser(zones[n % 3], NOON_MS + sum(steps), -1) for n in range(users)})

    often, at_ms, due_users = roster(), NOON_MS, []
    for step in steps:
        due_users += [trigger.event_id for trigger in often.due(at_ms, at_ms + step)]
        at_ms += step
    assert len(due_users) == len(set(due_users))
    assert set(due_users) == {trigger.event_id for trigger in roster().due(NOON_MS, at_ms)}
