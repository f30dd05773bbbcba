"""Which items of feeds become pushes."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from domain.timestamp import DAY_MS, HOUR_MS
from schemas.types import PushPreferences
from streams.core.push.candidates import fold_feed
from tests.params import PUSH_PARAMS
from tests.unit.streams.core.push.push_world import NOON, PARAMS, SCORES, a_user


def test_a_new_item_that_stands_out_is_pushed_with_the_feeds_reason() -> None:
    world = a_user()
    world.feed(jazz_night=14.0)
    [decision] = world.decisions
    assert (decision.status, decision.item_id, decision.category, decision.title) == (
        "sent",
        "jazz_night",
        "jazz",
        "About jazz_night",
    )
    assert (decision.body, decision.link, decision.reached) == ("Trending now", "/item/jazz_night", 1)
    assert decision.value is not None
    assert decision.value >= PARAMS.value_threshold
    assert [token for _, token, _ in world.deliveries] == ["phone"]


def test_a_new_item_no_better_than_what_usually_leads_is_not_worth_it_and_that_is_told_once() -> None:
    world = a_user()
    for _ in range(3):
        world.feed(jazz_night=9.0)
    assert world.statuses == ["not_worth_it"]
    world.feed(jazz_night=14.0)
    assert world.statuses == ["not_worth_it", "sent"]


def test_an_old_item_is_not_pushed_however_far_it_leads() -> None:
    world = a_user()
    world.params = replace(PUSH_PARAMS, item_max_age_hours=1 - 1e-6)
    world.feed(jazz_night=50.0)
    assert world.decisions == []


def test_an_item_that_the_catalogue_does_not_hold_is_passed_over() -> None:
    world = a_user()
    feed = world.feed()
    feed = msgspec.structs.replace(feed, features_version=99, scores=[50.0, *SCORES[1:]])
    assert fold_feed(world.state, feed, {}, params=PARAMS, now_ms=world.now_ms) == []


def test_the_users_own_threshold_holds() -> None:
    world = a_user()
    world.ask(kind="preferences", token=None, preferences=PushPreferences(value_threshold=0.5))
    world.feed(jazz_night=9.0)
    world.ask(kind="preferences", token=None, preferences=PushPreferences(value_threshold=100.0))
    world.feed(rock_night=50.0)
    assert world.statuses == ["sent", "not_worth_it"]


def test_only_wanted_categories_are_pushed() -> None:
    world = a_user()
    world.ask(kind="preferences", token=None, preferences=PushPreferences(categories=["jazz"]))
    world.feed(rock_night=30.0)
    world.feed(jazz_night=30.0)
    world.ask(kind="preferences", token=None, preferences=PushPreferences(categories=[]))
    world.feed(jazz_morning=60.0)
    assert world.statuses == ["unwanted", "sent", "unwanted"]


def test_an_item_is_pushed_once() -> None:
    world = a_user()
    for _ in range(3):
        world.feed(jazz_night=30.0)
        world.wait(HOUR_MS)
    assert world.statuses == ["sent"]


def test_feeds_that_come_again_or_late_change_nothing() -> None:
    world = a_user()
    feed = world.feed(jazz_night=30.0)
    before = msgspec.msgpack.encode(world.state)
    world.show(feed)
    world.show(msgspec.structs.replace(feed, features_version=1, items=["rock_night", *feed.items[1:]]))
    assert msgspec.msgpack.encode(world.state) == before
    assert world.statuses == ["sent"]


def test_no_more_than_the_cap_are_sent_in_any_24_hours() -> None:
    world = a_user()
    for n in range(5):
        world.feed(**{f"jazz_{n}": 30.0})
        world.wait(HOUR_MS)
    assert world.statuses == ["sent"] * 3 + ["capped"] * 2
    world.now_ms = NOON + DAY_MS
    world.feed(jazz_4=30.0)
    assert world.statuses[5:] == ["sent"]


def test_the_best_of_a_feed_comes_first() -> None:
    world = a_user()
    world.params = replace(PUSH_PARAMS, daily_cap=1)
    world.feed(jazz_good=30.0, jazz_better=40.0)
    assert {decision.item_id: decision.status for decision in world.decisions} == {
        "jazz_good": "capped",
        "jazz_better": "sent",
    }


def test_feeds_before_the_first_event_say_nothing_about_the_usual_lead() -> None:
    world = a_user()
    feed = msgspec.structs.replace(world.feed(), features_version=1_000, scores=[99.0, *SCORES[1:]])
    before = msgspec.structs.replace(world.state.baseline)
    world.show(msgspec.structs.replace(feed, watermark=0))
    assert world.state.baseline == before
    world.show(msgspec.structs.replace(feed, features_version=1_001))
    assert world.state.baseline.lead > before.lead
