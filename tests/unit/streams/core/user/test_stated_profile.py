"""Merging what users state: nothing is lost, whatever comes in which order, and repeats change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import DecodeError
from schemas.limit import LIST_ITEMS, PROFILE_FIELDS
from schemas.types import Profile, ProfileUpdate
from streams.core.position import Position
from streams.core.user import stated_profile
from streams.core.user.stated_profile import ProfileState, fold_profile, fold_tombstone, fold_update, forgotten_at
from tests.build import T0_MS, a_profile, a_profile_update, a_tombstone

_offsets = count()


def at(ms: int) -> Position:
    return Position(0, next(_offsets), ms)


def fold(state: ProfileState, *updates: ProfileUpdate) -> None:
    for update in updates:
        fold_update(state, update, at(T0_MS + 1_000))


def stated(state: ProfileState) -> dict[str, Any]:
    """Return what is stated, as far as it is not the default."""
    profile, nothing = state.profile, Profile(event_id="", user_id="", occurred_at=0)
    assert profile is not None
    return {name: getattr(profile, name) for name in PROFILE_FIELDS if getattr(profile, name) != getattr(nothing, name)}


def test_a_change_keeps_the_fields_that_it_does_not_state() -> None:
    state = ProfileState("u1")
    whole = {"segment": "25-34", "locale": "ja-JP", "attributes": {"age": "31"}, "categories": ["music"]}
    fold(state, a_profile_update(**whole, fields=list(PROFILE_FIELDS)))
    fold(state, a_profile_update(muted=["sports"]), a_profile_update(categories=["film"]))
    assert stated(state) == whole | {"muted": ["sports"], "categories": ["film"]}


def test_a_whole_profile_replaces_all_fields() -> None:
    state = ProfileState("u1")
    fold(state, a_profile_update(muted=["sports"], city="Lisbon"))
    fold(state, a_profile_update(categories=["film"], fields=list(PROFILE_FIELDS)))
    assert stated(state) == {"categories": ["film"]}


@pytest.mark.parametrize(
    ("times", "expected"),
    [((1, 2), "later"), ((2, 1), "first"), ((1, 1), "later"), ((T0_MS * 2, T0_MS * 2), "later")],
)
def test_the_newest_statement_of_a_field_holds_and_of_two_of_one_time_the_later(
    times: tuple[int, int], expected: str
) -> None:
    state = ProfileState("u1")
    for city, occurred_at in zip(("first", "later"), times, strict=True):
        fold_update(state, a_profile_update(city=city, occurred_at=occurred_at), at(T0_MS))
    assert stated(state) == {"city": expected}


def test_a_clock_that_is_ahead_does_not_keep_later_changes_out() -> None:
    state = ProfileState("u1")
    fold_update(state, a_profile_update(city="ahead", occurred_at=T0_MS + 240_000), at(T0_MS))
    fold_update(state, a_profile_update(city="later", occurred_at=T0_MS + 5), at(T0_MS + 6))
    assert stated(state) == {"city": "later"}


def test_a_repeat_changes_nothing() -> None:
    state = ProfileState("u1")
    first, second = a_profile_update(city="Lisbon"), a_profile_update(city="Porto")
    places = at(T0_MS), at(T0_MS)
    fold_update(state, first, places[0])
    fold_update(state, second, places[1])
    assert not fold_update(state, first, places[0]), "read again"
    assert not fold_update(state, replace(first, occurred_at=first.occurred_at + 9), at(T0_MS + 9)), "sent again"
    assert stated(state) == {"city": "Porto"}


def test_what_was_stated_before_it_was_forgotten_stays_forgotten() -> None:
    state = ProfileState("u1")
    fold(
        state, a_profile_update(city="Lisbon", occurred_at=T0_MS), a_profile_update(muted=["x"], occurred_at=T0_MS + 9)
    )
    assert fold_update(state, a_profile_update(kind="forget", occurred_at=T0_MS + 5), at(T0_MS + 10))
    assert stated(state) == {"muted": ["x"]}, "what was stated after that time stays"
    fold_update(state, a_profile_update(kind="forget", occurred_at=T0_MS + 9), at(T0_MS + 10))
    assert state.profile is None
    assert not fold_update(state, a_profile_update(city="Porto", occurred_at=T0_MS + 8), at(T0_MS + 11))
    assert fold_update(state, a_profile_update(city="Faro", occurred_at=T0_MS + 9), at(T0_MS + 11))
    assert stated(state) == {"city": "Faro"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((), T0_MS),
        ((("forgotten_at", b"123"),), 123),
        ((("forgotten_at", b"99999999999999999999"),), T0_MS),
        ((("forgotten_at", b"-5"),), T0_MS),
        ((("forgotten_at", b"1e3"),), T0_MS),
        ((("forgotten_at", "٣".encode()),), T0_MS),
        ((("forgotten_at", None),), T0_MS),
        ((("other", b"123"),), T0_MS),
    ],
)
def test_a_null_value_forgets_until_the_time_of_its_header_or_its_own(headers: Any, expected: int) -> None:
    assert forgotten_at(a_tombstone(headers=headers)) == expected


def test_what_is_too_large_to_be_published_is_refused_and_changes_nothing() -> None:
    state = ProfileState("u1")
    fold(state, a_profile_update(city="Lisbon"))
    before = state.profile
    many = [f"{number:0256}" for number in range(LIST_ITEMS)]
    fold(state, a_profile_update(categories=many))
    with pytest.raises(DecodeError) as exc_info:
        fold(state, a_profile_update(topics=many), a_profile_update(muted=many))
    assert exc_info.value.reason == "too_large"
    assert (stated(state)["city"], stated(state)["categories"]) == ("Lisbon", many)
    assert before is not None


class World:
    """Both topics of one user, and an owner that publishes where `streams.agents.profile` does."""

    def __init__(self, updates: Sequence[ProfileUpdate], profiles: Sequence[Profile | None]) -> None:
        self.state = ProfileState("u1")
        self.updates = [(update, Position(0, n, update.occurred_at + 1)) for n, update in enumerate(updates)]
        self.profiles = [(value, Position(0, n, n)) for n, value in enumerate(profiles)]
        self._profile_count = len(profiles)
        self._read = {"updates": 0, "profiles": 0}

    def step(self, topic: str, *, back: int = 0) -> bool:
        """Read the next record of a topic; a crash may have some read again."""
        log: list[Any] = getattr(self, topic)
        self._read[topic] = max(self._read[topic] - back, 0)
        if self._read[topic] >= len(log):
            return False
        value, position = log[self._read[topic]]
        self._read[topic] += 1
        if topic == "updates":
            differs = fold_update(self.state, value, position)
        elif value is None:
            ours = (("forgotten_at", b"0"),) if position.offset >= self._profile_count else ()
            fold_tombstone(self.state, a_tombstone(timestamp=position.append_ms, headers=ours))
            differs = self.state.profile is not None
        else:
            fold_profile(self.state, value, position)
            differs = self.state.profile != value
        if differs:
            self.profiles.append((self.state.profile, Position(0, len(self.profiles), T0_MS)))
        return True

    def finish(self) -> None:
        while self.step("updates") or self.step("profiles"):
            pass


_TIMES = st.integers(0, 12)
_CHANGES = st.dictionaries(
    st.sampled_from(PROFILE_FIELDS[:4]), st.integers(0, 9).map(lambda number: [str(number)]), min_size=1
)


@st.composite
def _updates(draw: st.DrawFn) -> list[ProfileUpdate]:
    profiles = []
    for at_ms in draw(st.lists(_TIMES, max_size=5)):
        changes = draw(_CHANGES) if draw(st.integers(0, 4)) else {}
        segment = {"segment": changes["segment"][0]} if "segment" in changes else {}
        kind = "update" if changes else "forget"
        profiles.append(a_profile_update(kind=kind, occurred_at=at_ms, **(changes | segment)))
    return profiles


_PROFILES = st.lists(st.tuples(_TIMES, st.integers(0, 9)), max_size=4).map(
    lambda samples: [a_profile(occurred_at=at_ms, categories=[str(value)], city="x") for at_ms, value in samples]
)


@pytest.mark.parametrize("first", ["update", "profile"])
def test_a_change_holds_against_a_whole_profile_of_the_same_moment_in_either_order(first: str) -> None:
    state = ProfileState("u1")
    change, whole = a_profile_update(city="changed"), a_profile(city="whole", segment="x")
    for kind in sorted(("update", "profile"), key=lambda kind: kind != first):
        if kind == "update":
            fold_update(state, change, at(T0_MS))
        else:
            fold_profile(state, whole, at(T0_MS))
    assert stated(state) == {"city": "changed", "segment": "x"}


@pytest.mark.parametrize("again", [0, 1])
def test_what_is_stated_in_the_moment_after_it_was_forgotten_is_kept(again: int) -> None:
    world = World([a_profile_update(kind="forget"), a_profile_update(city="Porto")], [])
    world.finish()
    for _ in range(again):
        world.step("profiles", back=99)
    world.finish()
    assert stated(world.state) == {"city": "Porto"}


def test_a_null_value_of_another_producer_forgets_what_was_stated_in_the_same_moment_before_it() -> None:
    state = ProfileState("u1")
    fold_profile(state, a_profile(city="Lisbon"), at(T0_MS))
    assert fold_tombstone(state, a_tombstone())
    assert state.profile is None


@given(
    _updates(),
    _PROFILES,
    st.lists(st.tuples(st.sampled_from(["updates", "profiles"]), st.integers(0, 2)), max_size=20),
)
def test_any_order_of_reading_ends_in_one_profile_that_is_the_newest_of_its_topic(
    updates: list[ProfileUpdate], profiles: list[Profile], steps: list[tuple[str, int]]
) -> None:
    plain, interrupted_world = World(updates, profiles), World(updates, profiles)
    plain.finish()
    for topic, back in steps:
        interrupted_world.step(topic, back=back)
    interrupted_world.finish()
    contents = [
        None if world.state.profile is None else replace(world.state.profile, event_id="", occurred_at=0)
        for world in (plain, interrupted_world)
    ]
    assert contents[0] == contents[1]
    for world in (plain, interrupted_world):
        if world.profiles:
            assert world.profiles[-1][0] == world.state.profile, "compaction keeps what is merged"


@given(_updates())
def test_each_field_holds_its_newest_statement(updates: list[ProfileUpdate]) -> None:
    world = World(updates, [])
    world.finish()
    forget_ms = max((one.occurred_at for one in updates if one.kind == "forget"), default=-1)
    for name in PROFILE_FIELDS[:4]:
        relevant_updates = [one for one in updates if name in one.fields and one.occurred_at > forget_ms]
        newest = max(relevant_updates, key=lambda one: one.occurred_at, default=None)
        profile = world.state.profile
        if newest is not None and [one.occurred_at for one in relevant_updates].count(newest.occurred_at) == 1:
            assert profile is not None
            assert getattr(profile, name) == getattr(newest, name)


def test_a_profile_of_ours_that_is_read_again_changes_nothing() -> None:
    state = ProfileState("u1")
    fold(state, a_profile_update(city="Lisbon"))
    old = state.profile
    assert old is not None
    fold(state, a_profile_update(city="Porto", occurred_at=T0_MS + 1))
    assert not stated_profile.fold_profile(state, old, at(T0_MS + 5_000))
    assert stated(state) == {"city": "Porto"}
