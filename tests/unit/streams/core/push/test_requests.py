"""Requests: messages, preferences and devices."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from domain.timestamp import HOUR_MS
from schemas.types import PushPreferences
from streams.core.push.candidates import PushItem
from streams.core.push.push_state import due_at, snapshot
from tests.build import a_push_request
from tests.params import PUSH_PARAMS
from tests.unit.streams.core.push.push_world import GONE, NIGHT, NOON, World, a_user


def test_named_preferences_are_taken_over_and_the_others_stay() -> None:
    world = a_user()
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    preferences = PushPreferences(categories=["jazz"], value_threshold=2.0)
    world.ask(kind="preferences", token=None, preferences=preferences, fields=["categories"])
    assert world.state.preferences == msgspec.structs.replace(NIGHT, categories=["jazz"])
    world.ask(kind="preferences", token=None, preferences=PushPreferences(), fields=["quiet_hours"])
    assert world.state.preferences == PushPreferences(categories=["jazz"])
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    assert world.state.preferences == NIGHT


def test_what_is_held_for_too_long_expires_and_is_not_pushed_any_more() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS, params=replace(PUSH_PARAMS, max_delay_hours=2))
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.wait(2 * HOUR_MS)
    assert world.statuses == ["quiet_hours", "expired"]
    world.wait(12 * HOUR_MS)
    world.feed(jazz_night=30.0)
    assert (world.statuses, world.deliveries) == (["quiet_hours", "expired"], [])


def test_a_message_that_is_asked_for_is_sent_whatever_it_is_worth() -> None:
    world = World()
    world.ask()
    world.message(title="Your ticket", body="Doors open at nine.", category="music")
    [decision] = world.decisions
    assert (decision.status, decision.title, decision.body, decision.link) == (
        "sent",
        "Your ticket",
        "Doors open at nine.",
        "/c/music",
    )
    assert decision.value is None
    assert decision.request_id is not None


def test_a_message_about_an_item_takes_its_title_and_leads_to_it() -> None:
    world = World()
    world.ask()
    world.message(title="", item_id="a b/c", card=PushItem("a b/c", "music", "Title of it", NOON))
    [decision] = world.decisions
    assert (decision.status, decision.title, decision.category, decision.link) == (
        "sent",
        "Title of it",
        "music",
        "/item/a%20b%2Fc",
    )


def test_a_message_without_a_title_fails_and_may_be_asked_for_again() -> None:
    world = World()
    world.ask()
    world.message(title="", item_id="i9")
    world.message(title="There it is", item_id="i9")
    assert world.statuses == ["failed", "sent"]


def test_a_message_about_what_was_pushed_is_repeated_one_without_an_item_is_not() -> None:
    world = a_user()
    world.feed(jazz_night=30.0)
    world.message(item_id="jazz_night")
    world.message()
    assert world.statuses == ["sent", "repeated", "sent"]


def test_a_request_that_comes_twice_is_answered_once() -> None:
    world = World()
    world.ask()
    twice = a_push_request(kind="send", title="Hello")
    world.ask(twice)
    world.ask(twice)
    assert world.statuses == ["sent"]


def test_a_message_to_someone_without_a_device_is_unregistered_and_waits_for_nothing() -> None:
    world = World()
    world.message(item_id="i1")
    assert (world.statuses, due_at(world.state)) == (["unregistered"], None)
    world.ask()
    world.message(item_id="i1")
    assert world.statuses == ["unregistered", "sent"]


def test_every_device_is_reached_and_one_taken_off_is_not() -> None:
    world = World()
    for token in ("phone", "tablet", "laptop"):
        world.ask(token=token)
    world.ask(kind="unregister", token="tablet")
    world.message()
    assert [token for _, token, _ in world.deliveries] == ["phone", "laptop"]
    assert world.decisions[0].reached == 2


def test_devices_are_bounded_and_the_one_registered_longest_ago_goes() -> None:
    world = World()
    for n in range(25):
        world.ask(token=f"d{n}")
    world.ask(token="d5")
    assert [device.token for device in snapshot(world.state, NOON).devices] == [f"d{n}" for n in range(6, 25)] + ["d5"]


def test_a_device_that_is_gone_is_forgotten_and_the_version_says_so() -> None:
    world = World(answers={"old": GONE})
    world.ask(token="old")
    world.ask(token="new")
    version = world.state.version
    world.message()
    assert list(world.state.devices) == ["new"]
    assert world.state.version == version + 1
    assert (world.statuses, world.decisions[0].reached) == (["sent"], 1)
