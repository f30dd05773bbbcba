"""When pushes are sent: quiet hours, expiry, withdrawal, and failures of delivery."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from domain.timestamp import HOUR_MS
from infra.fcm import SendAnswer
from schemas.types import PushPreferences
from streams.core.push.candidates import PushItem
from streams.core.push.push_state import due_at
from tests.params import PUSH_PARAMS
from tests.unit.streams.core.push.push_world import GONE, NIGHT, NOON, World, a_user


def test_what_comes_in_quiet_hours_is_held_until_they_end() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    morning = NOON + 20 * HOUR_MS
    assert [(decision.status, decision.due_at) for decision in world.decisions] == [("quiet_hours", morning)]
    assert due_at(world.state) == morning
    world.wait(8 * HOUR_MS)
    world.feed(jazz_night=30.0)
    assert (world.deliveries, world.statuses) == ([], ["quiet_hours"])
    world.wait(HOUR_MS)
    assert world.statuses == ["quiet_hours", "sent"]
    assert [at for at, _, _ in world.deliveries] == [morning]
    assert due_at(world.state) is None


@pytest.mark.parametrize("others", [[], ["tablet"]])
def test_what_is_held_does_not_reach_a_device_that_is_another_users_by_then(others: list[str]) -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    for token in others:
        world.ask(token=token)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.ask(kind="revoke", appended_at=world.now_ms)
    world.wait(9 * HOUR_MS)
    assert world.statuses == ["quiet_hours", "sent" if others else "unregistered"]
    assert [token for _, token, _ in world.deliveries] == others


def test_what_was_due_while_nobody_looked_is_sent_when_somebody_does_unless_it_is_quiet_again() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS, params=replace(PUSH_PARAMS, max_delay_hours=48))
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.wait(24 * HOUR_MS)
    assert [(decision.status, decision.due_at) for decision in world.decisions[1:]] == [
        ("quiet_hours", NOON + 44 * HOUR_MS)
    ]
    world.wait(12 * HOUR_MS)
    assert world.statuses[2:] == ["sent"]


def test_new_preferences_hold_for_what_waits_too() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0, rock_night=40.0)
    world.ask(kind="preferences", token=None, preferences=PushPreferences(categories=["jazz"]))
    assert world.statuses[2:] == ["unwanted", "sent"]


def test_no_more_is_held_than_may_be_sent_afterwards() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    for n in range(5):
        world.feed(**{f"jazz_{m}": 30.0 if m == n else 2.0 for m in range(n + 1)})
    assert Counter(world.statuses) == {"quiet_hours": 3, "capped": 2}
    world.wait(9 * HOUR_MS)
    assert len(world.deliveries) == 3


CARD = PushItem("jazz_night", "jazz", "Jazz Night", NOON)


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_push_that_waits_is_withdrawn_when_its_item_is_gone(is_asked: bool) -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    if is_asked:
        world.message(item_id="jazz_night", card=CARD)
    else:
        world.feed(jazz_night=30.0)
    world.unavailable.add("jazz_night")
    world.wait(9 * HOUR_MS)
    assert (world.statuses, world.deliveries) == (["quiet_hours", "withdrawn"], [])
    assert not world.state.pending


def test_a_push_about_an_item_that_the_catalogue_never_held_is_sent() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.message(item_id="theirs")
    world.unavailable.add("theirs")
    world.wait(9 * HOUR_MS)
    assert world.statuses == ["quiet_hours", "sent"]


def test_a_push_that_waits_is_withdrawn_when_its_item_is_recommended_no_more() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_here=30.0)
    world.message(item_id="theirs")
    world.feed(jazz_there=30.0)  # the user has moved
    world.wait(9 * HOUR_MS)
    assert world.statuses[:4] == ["quiet_hours", "quiet_hours", "withdrawn", "quiet_hours"]
    assert Counter(decision.item_id for decision in world.decisions if decision.status == "sent") == {
        "jazz_there": 1,
        "theirs": 1,
    }


def test_a_withdrawn_push_may_come_again_with_its_item() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.feed()
    world.feed(jazz_night=30.0)
    world.wait(9 * HOUR_MS)
    assert world.statuses == ["quiet_hours", "withdrawn", "quiet_hours", "sent"]


@pytest.mark.parametrize(("hold_ms", "ttl_s"), [(12 * HOUR_MS, 10 * 3_600), (HOUR_MS, 3_600)])
def test_a_push_must_not_be_shown_in_the_next_quiet_hours_nor_after_it_expires(hold_ms: int, ttl_s: int) -> None:
    world = World(params=replace(PUSH_PARAMS, max_delay_hours=hold_ms / HOUR_MS))
    world.ask(preferences=NIGHT)
    world.message()
    assert world.ttls == [ttl_s]


def test_when_all_devices_are_gone_the_user_is_unregistered() -> None:
    world = World(answers={"phone": GONE})
    world.ask()
    world.message()
    assert (world.statuses, world.state.devices) == (["unregistered"], {})


def test_two_pushes_may_find_out_at_once_that_a_device_is_gone() -> None:
    world = World(answers={"phone": SendAnswer("later", "timeout")})
    world.ask()
    world.message()
    world.message()
    version, world.answers = world.state.version, {"phone": GONE}
    world.wait(HOUR_MS)
    assert (world.statuses[-2:], world.state.version) == (["unregistered"] * 2, version + 1)


def test_what_is_refused_has_failed_with_the_reason_and_is_not_tried_again() -> None:
    world = a_user(answers={"phone": SendAnswer("refused", "FCM: 400 INVALID_ARGUMENT")})
    world.feed(jazz_night=30.0)
    world.feed(jazz_night=30.0)
    assert world.statuses == ["failed"]
    assert "INVALID_ARGUMENT" in world.decisions[0].reason


def test_what_is_put_off_is_tried_again_after_the_pause_asked_for_and_less_and_less_often() -> None:
    world = World(answers={"phone": SendAnswer("later", "503", 45.0)})
    world.ask()
    world.message()
    world.answers = {"phone": SendAnswer("later", "timeout")}
    for _ in range(4):
        assert due_at(world.state) is not None
        world.wait(due_at(world.state) - world.now_ms)
    world.answers = {}
    world.wait(3 * HOUR_MS)
    assert world.statuses == ["retrying"] * 5 + ["sent"]
    pauses = [(decision.due_at or 0) - decision.decided_at for decision in world.decisions[:5]]
    assert pauses == [45_000, 20_000, 40_000, 80_000, 160_000]


def test_what_is_put_off_for_too_long_has_failed() -> None:
    world = World(answers={"phone": SendAnswer("later", "timeout")}, params=replace(PUSH_PARAMS, max_delay_hours=1))
    world.ask()
    world.message()
    while due_at(world.state) is not None:
        world.wait(due_at(world.state) - world.now_ms)
    assert world.statuses[-1] == "failed"
    assert world.now_ms <= NOON + HOUR_MS


def test_only_the_devices_that_were_not_reached_are_tried_again_and_it_counts_once() -> None:
    world = World(answers={"tablet": SendAnswer("later", "timeout")}, params=replace(PUSH_PARAMS, daily_cap=1))
    world.ask(token="phone")
    world.ask(token="tablet")
    world.message()
    world.answers = {}
    world.wait(HOUR_MS)
    assert [token for _, token, _ in world.deliveries] == ["phone", "tablet"]
    assert [(decision.status, decision.reached) for decision in world.decisions] == [("sent", 1), ("sent", 2)]
    assert len(world.state.sent_at) == 1


def test_a_push_that_is_tried_again_is_held_in_quiet_hours() -> None:
    world = World(now_ms=NOON + 10 * HOUR_MS - 5_000, answers={"phone": SendAnswer("later", "timeout")})
    world.ask(preferences=NIGHT)
    world.message()
    world.wait(20_000)
    assert world.statuses == ["retrying", "quiet_hours"]


def test_without_a_sender_it_is_told_once_and_counts_as_sent() -> None:
    world = a_user(is_configured=False)
    for _ in range(2):
        world.feed(jazz_night=30.0)
    for n in range(3):
        world.message(title=f"Hello {n}")
    assert world.statuses == ["not_configured"] * 3 + ["capped"]
    assert due_at(world.state) is None
