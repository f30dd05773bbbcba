"""Deciding on pushes: what is worth one, what stands in its way, when it is sent, and that it is sent once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.fcm import SendAnswer
from schemas.types import Feed, Notification, PushPreferences, PushRequest, QuietHours
from streams.core.params import PushParams
from streams.core.position import Position
from streams.core.push.candidates import PushItem, fold_feed, fold_request
from streams.core.push.delivery import Delivery, due_items, record_delivery, release
from streams.core.push.push_state import PushState, due_at, snapshot
from streams.core.push.quiet_hours import quiet_interval
from tests.build import a_push_request

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON = 1_795_262_400_000
"""In Lisbon, on 21 November 2026: the night is ten hours off."""
PARAMS = PushParams()
NIGHT = PushPreferences(quiet_hours=QuietHours(start="22:00", end="08:00", timezone="Europe/Lisbon"))
OLD = [f"old-{n}" for n in range(8)]
SCORES = [9.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
"""The leader is 5 above the middle and the spread is 4: its lead is 1.25."""
DELIVERED, GONE = SendAnswer("delivered"), SendAnswer("gone", "404")


@dataclass
class World:
    """One user, a clock, and a push service that answers as it is told."""

    now_ms: int = NOON
    state: PushState = field(default_factory=lambda: PushState("u1"))
    params: PushParams = PARAMS
    answers: dict[str, SendAnswer] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """Items that have left the catalogue."""
    configured: bool = True
    told: list[Notification] = field(default_factory=list)
    sent: list[tuple[int, str, str]] = field(default_factory=list)
    """When, to which device, what."""
    ttls: list[int] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))

    def ask(self, request: PushRequest | None = None, *, card: PushItem | None = None, **fields: Any) -> None:
        number = next(self._numbers)
        request = request or a_push_request(**({"occurred_at": self.now_ms} | fields))
        self.told += fold_request(
            self.state, request, Position(0, number, self.now_ms), item=card, params=self.params, now_ms=self.now_ms
        )
        self.work()

    def message(self, **fields: Any) -> None:
        self.ask(**({"kind": "send", "token": None, "title": "Hello"} | fields))

    def feed(self, **new: float) -> Feed:
        """Show a feed in which new items have some scores, by name; the others are old."""
        scored = sorted([*zip(OLD, SCORES, strict=True), *new.items()], key=lambda pair: -pair[1])
        number = next(self._numbers)
        feed = Feed(
            user_id="u1",
            features_version=number,
            generated_at=self.now_ms,
            watermark=0,
            model="blend",
            items=[item_id for item_id, _ in scored],
            scores=[score for _, score in scored],
            sources=["trending"] * len(scored),
            reasons=["Trending now"] * len(scored),
        )
        self.show(feed)
        return feed

    def show(self, feed: Feed) -> None:
        ages = {item_id: 30 * DAY_MS if item_id in OLD else HOUR_MS for item_id in feed.items}
        cards = {
            item_id: PushItem(item_id, item_id.partition("_")[0], f"About {item_id}", self.now_ms - age)
            for item_id, age in ages.items()
        }
        self.told += fold_feed(self.state, feed, cards, params=self.params, now_ms=self.now_ms)
        self.work()

    def get_used(self) -> None:
        """Show as many feeds as it takes to know what is usual."""
        for _ in range(3):
            self.feed()

    def wait(self, ms: int) -> None:
        """Let time pass, at the end of which what is due is released."""
        self.now_ms += ms
        self.work()

    def work(self) -> None:
        gone = due_items(self.state, self.now_ms) & self.gone
        decisions, deliveries = release(self.state, params=self.params, now_ms=self.now_ms, unavailable_items=gone)
        self.told += decisions
        for delivery in deliveries:
            self.told += record_delivery(
                self.state, delivery, self._answers(delivery), params=self.params, now_ms=self.now_ms
            )

    def _answers(self, delivery: Delivery) -> dict[str, SendAnswer] | None:
        if not self.configured:
            return None
        found = {token: self.answers.get(token, DELIVERED) for token in delivery.tokens}
        about = delivery.notification.notification_id
        self.ttls.append(delivery.ttl_s)
        self.sent += [(self.now_ms, token, about) for token, answer in found.items() if answer.kind == "delivered"]
        return found

    @property
    def statuses(self) -> list[str]:
        return [told.status for told in self.told]


def a_user(**fields: Any) -> World:
    """Return a user with a phone, whose usual feeds are known."""
    world = World(**fields)
    world.ask()
    world.get_used()
    assert world.told == []
    return world


def test_a_new_item_that_stands_out_is_pushed_with_the_feeds_reason() -> None:
    world = a_user()
    world.feed(jazz_night=14.0)
    [told] = world.told
    assert (told.status, told.item_id, told.category, told.title) == ("sent", "jazz_night", "jazz", "About jazz_night")
    assert (told.body, told.link, told.reached) == ("Trending now", "/item/jazz_night", 1)
    assert told.value is not None
    assert told.value >= PARAMS.value_threshold
    assert [token for _, token, _ in world.sent] == ["phone"]


def test_a_new_item_with_no_more_than_the_usual_lead_is_rejected_once() -> None:
    world = a_user()
    for _ in range(3):
        world.feed(jazz_night=9.0)
    assert world.statuses == ["not_worth_it"]
    world.feed(jazz_night=14.0)
    assert world.statuses == ["not_worth_it", "sent"]


def test_an_old_item_is_not_pushed_however_far_it_leads() -> None:
    world = a_user()
    world.params = PushParams(new_ms=HOUR_MS - 1)
    world.feed(jazz_night=50.0)
    assert world.told == []


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
    world.params = PushParams(daily_cap=1)
    world.feed(jazz_good=30.0, jazz_better=40.0)
    assert {told.item_id: told.status for told in world.told} == {"jazz_good": "capped", "jazz_better": "sent"}


def test_what_comes_in_quiet_hours_is_held_until_they_end() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    morning = NOON + 20 * HOUR_MS
    assert [(told.status, told.due_at) for told in world.told] == [("quiet_hours", morning)]
    assert due_at(world.state) == morning
    world.wait(8 * HOUR_MS)
    world.feed(jazz_night=30.0)
    assert (world.sent, world.statuses) == ([], ["quiet_hours"])
    world.wait(HOUR_MS)
    assert world.statuses == ["quiet_hours", "sent"]
    assert [at for at, _, _ in world.sent] == [morning]
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
    assert [token for _, token, _ in world.sent] == others


def test_named_preferences_are_taken_over_and_the_others_stay() -> None:
    world = a_user()
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    wanted = PushPreferences(categories=["jazz"], value_threshold=2.0)
    world.ask(kind="preferences", token=None, preferences=wanted, fields=["categories"])
    assert world.state.preferences == msgspec.structs.replace(NIGHT, categories=["jazz"])
    world.ask(kind="preferences", token=None, preferences=PushPreferences(), fields=["quiet_hours"])
    assert world.state.preferences == PushPreferences(categories=["jazz"])
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    assert world.state.preferences == NIGHT


def test_what_is_held_for_too_long_expires_and_is_not_pushed_any_more() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS, params=PushParams(hold_ms=2 * HOUR_MS))
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.wait(2 * HOUR_MS)
    assert world.statuses == ["quiet_hours", "expired"]
    world.wait(12 * HOUR_MS)
    world.feed(jazz_night=30.0)
    assert (world.statuses, world.sent) == (["quiet_hours", "expired"], [])


def test_what_was_due_while_nobody_looked_is_sent_when_somebody_does_unless_it_is_quiet_again() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS, params=PushParams(hold_ms=48 * HOUR_MS))
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    world.wait(24 * HOUR_MS)
    assert [(told.status, told.due_at) for told in world.told[1:]] == [("quiet_hours", NOON + 44 * HOUR_MS)]
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
    assert len(world.sent) == 3


CARD = PushItem("jazz_night", "jazz", "Jazz Night", NOON)


@pytest.mark.parametrize("asked", [True, False])
def test_a_push_that_waits_is_withdrawn_when_its_item_is_gone(asked: bool) -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    if asked:
        world.message(item_id="jazz_night", card=CARD)
    else:
        world.feed(jazz_night=30.0)
    world.gone.add("jazz_night")
    world.wait(9 * HOUR_MS)
    assert (world.statuses, world.sent) == (["quiet_hours", "withdrawn"], [])
    assert not world.state.pending


def test_a_push_about_an_item_that_the_catalogue_never_held_is_sent() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.message(item_id="theirs")
    world.gone.add("theirs")
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
    assert Counter(told.item_id for told in world.told if told.status == "sent") == {"jazz_there": 1, "theirs": 1}


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
    world = World(params=PushParams(hold_ms=hold_ms))
    world.ask(preferences=NIGHT)
    world.message()
    assert world.ttls == [ttl_s]


def test_a_message_that_is_asked_for_is_sent_whatever_it_is_worth() -> None:
    world = World()
    world.ask()
    world.message(title="Your ticket", body="Doors open at nine.", category="music")
    [told] = world.told
    assert (told.status, told.title, told.body, told.link) == ("sent", "Your ticket", "Doors open at nine.", "/c/music")
    assert told.value is None
    assert told.request_id is not None


def test_a_message_about_an_item_takes_its_title_and_leads_to_it() -> None:
    world = World()
    world.ask()
    world.message(title="", item_id="a b/c", card=PushItem("a b/c", "music", "Title of it", NOON))
    [told] = world.told
    assert (told.status, told.title, told.category, told.link) == ("sent", "Title of it", "music", "/item/a%20b%2Fc")


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
    assert [token for _, token, _ in world.sent] == ["phone", "laptop"]
    assert world.told[0].reached == 2


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
    assert (world.statuses, world.told[0].reached) == (["sent"], 1)


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
    assert "INVALID_ARGUMENT" in world.told[0].reason


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
    pauses = [(told.due_at or 0) - told.decided_at for told in world.told[:5]]
    assert pauses == [45_000, 20_000, 40_000, 80_000, 160_000]


def test_what_is_put_off_for_too_long_has_failed() -> None:
    world = World(answers={"phone": SendAnswer("later", "timeout")}, params=PushParams(hold_ms=HOUR_MS))
    world.ask()
    world.message()
    while due_at(world.state) is not None:
        world.wait(due_at(world.state) - world.now_ms)
    assert world.statuses[-1] == "failed"
    assert world.now_ms <= NOON + HOUR_MS


def test_only_the_devices_that_were_not_reached_are_tried_again_and_it_counts_once() -> None:
    world = World(answers={"tablet": SendAnswer("later", "timeout")}, params=PushParams(daily_cap=1))
    world.ask(token="phone")
    world.ask(token="tablet")
    world.message()
    world.answers = {}
    world.wait(HOUR_MS)
    assert [token for _, token, _ in world.sent] == ["phone", "tablet"]
    assert [(told.status, told.reached) for told in world.told] == [("sent", 1), ("sent", 2)]
    assert len(world.state.sent_at) == 1


def test_a_push_that_is_tried_again_is_held_in_quiet_hours() -> None:
    world = World(now_ms=NOON + 10 * HOUR_MS - 5_000, answers={"phone": SendAnswer("later", "timeout")})
    world.ask(preferences=NIGHT)
    world.message()
    world.wait(20_000)
    assert world.statuses == ["retrying", "quiet_hours"]


def test_without_a_sender_a_push_is_reported_once_and_counts_as_sent() -> None:
    world = a_user(configured=False)
    for _ in range(2):
        world.feed(jazz_night=30.0)
    for n in range(3):
        world.message(title=f"Hello {n}")
    assert world.statuses == ["not_configured"] * 3 + ["capped"]
    assert due_at(world.state) is None


def test_a_state_survives_its_table() -> None:
    world = a_user(now_ms=NOON + 11 * HOUR_MS)
    world.ask(kind="preferences", token=None, preferences=NIGHT)
    world.feed(jazz_night=30.0)
    stored = msgspec.msgpack.encode(world.state)
    assert msgspec.msgpack.decode(stored, type=PushState) == world.state


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(0, 9)),
        st.tuples(st.just("message"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.sampled_from([1_000, 60_000, HOUR_MS, 5 * HOUR_MS, 13 * HOUR_MS])),
        st.tuples(st.just("prefer"), st.sampled_from([NIGHT, PushPreferences(), PushPreferences(categories=["b"])])),
        st.tuples(
            st.just("answer"), st.sampled_from([DELIVERED, GONE, SendAnswer("later", "", 30.0), SendAnswer("refused")])
        ),
        st.tuples(st.just("device"), st.sampled_from(["phone", "tablet"])),
    ),
    max_size=40,
)


def play(world: World, steps: Iterable[tuple[str, Any]], *, twice: bool = False) -> None:
    world.ask(preferences=NIGHT)
    world.get_used()
    for number, (kind, value) in enumerate(steps):
        for _ in range(2 if twice else 1):
            if kind == "feed":
                feed = world.feed(**{f"{'ab'[value % 2]}_{value}": 30.0})
                if twice:
                    world.show(feed)
                break
            if kind == "message":
                world.ask(a_push_request(event_id=f"m{number}", kind="send", item_id=f"a_{value}", title="Hello"))
            elif kind == "wait":
                world.wait(value)
                break
            elif kind == "prefer":
                world.ask(a_push_request(event_id=f"p{number}", kind="preferences", token=None, preferences=value))
            elif kind == "answer":
                world.answers = {"phone": value}
            else:
                world.ask(a_push_request(event_id=f"d{number}", token=value))


@given(STEPS)
def test_whatever_happens_nothing_is_sent_twice_too_often_or_in_quiet_hours(steps: list[tuple[str, Any]]) -> None:
    world = World()
    quiet_at: list[bool] = []
    plain_answers = world._answers

    def answers(delivery: Delivery) -> dict[str, SendAnswer] | None:
        hours = world.state.preferences.quiet_hours
        quiet_at.append(hours is not None and quiet_interval(hours, world.now_ms).quiet)
        return plain_answers(delivery)

    world._answers = answers  # type: ignore[method-assign]
    play(world, steps)
    assert not any(quiet_at)
    assert all(ttl_s > 0 for ttl_s in world.ttls)
    assert max(Counter((token, about) for _, token, about in world.sent).values(), default=0) <= 1
    first = {about: at for at, _, about in reversed(world.sent)}
    times = sorted(first.values())
    assert all(late - early >= DAY_MS for early, late in zip(times, times[3:], strict=False))
    assert all(waiting.expires_at > world.now_ms for waiting in world.state.pending.values())
    world.wait(PARAMS.hold_ms)
    world.wait(PARAMS.hold_ms)
    assert world.state.pending == {}


@given(STEPS)
def test_what_comes_twice_counts_once(steps: list[tuple[str, Any]]) -> None:
    once, twice = World(), World()
    play(once, steps)
    play(twice, steps, twice=True)
    assert once.sent == twice.sent
    assert [(told.notification_id, told.status) for told in once.told] == [
        (told.notification_id, told.status) for told in twice.told
    ]


@pytest.mark.parametrize("kind", ["unknown", "release"])
def test_a_call_for_release_changes_nothing_by_itself(kind: Any) -> None:
    world = World()
    world.ask(kind=kind, token=None)
    assert (world.told, world.state.version) == ([], 0)
