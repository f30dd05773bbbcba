"""Folding a user's events: what is kept, what repeats change (nothing), what order and lateness change."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dwell_time import watched_share
from domain.timestamp import DAY_MS
from schemas.types import FoundItem, Interaction
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import day_limits, user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, a_content, a_ping, a_profile, a_trigger, an_interaction
from tests.params import USER_PARAMS

PARAMS = USER_PARAMS
JAZZ = ItemLabels("music", ("jazz", "live"), "city-guide")


def fold_all(events: list[Interaction], state: UserState | None = None, first: int = 0) -> UserState:
    state = state or UserState("u1")
    for offset, event in enumerate(events, start=first):
        user_state.fold(state, event, Position(0, offset, T0_MS + offset), subject=JAZZ, params=PARAMS)
    return state


def test_a_click_feeds_every_feature() -> None:
    state = UserState("u1", segment="25-34|f")
    event = an_interaction(occurred_at=T0_MS, action="like")
    signal = user_state.fold(state, event, Position(3, 7, T0_MS + 5), subject=JAZZ, params=PARAMS)
    user_features = user_state.snapshot(state, PARAMS)
    assert user_features.categories == {"music": 2.0}
    assert user_features.topics == {"jazz": 1.0, "live": 1.0}
    assert user_features.sources == {"city-guide": 2.0}
    assert user_features.hours[T0_MS // 3_600_000 % 24] == 1.0
    assert (user_features.counts, user_features.seen, user_features.event_count) == ({"like": 1}, ["i1"], 1)
    assert [(item.item_id, item.weight) for item in user_features.recent] == [("i1", 2.0)]
    assert (user_features.version, user_features.watermark) == (T0_MS + 5, T0_MS)
    assert signal is not None
    assert (signal.segment, signal.weight) == ("25-34|f", 2.0)
    assert signal.position == (3, 7, T0_MS + 5)


def test_a_profile_without_a_segment_has_the_group_of_its_age_and_country() -> None:
    state = UserState("u1")
    attributes = {"age": "31", "country": "PT"}
    user_state.fold_profile(state, a_profile(attributes=attributes), Position(0, 0, T0_MS))
    assert state.segment == "25-34|pt"
    user_state.fold_profile(state, a_profile(segment="jazz-fans", attributes=attributes), Position(0, 1, T0_MS + 1))
    assert state.segment == "jazz-fans"


def test_a_request_for_a_list_in_a_context_leaves_the_own_feed_as_it_is() -> None:
    state = UserState("u1")
    for offset, trigger in enumerate(
        (a_trigger(kind="rerank", context={"device_type": "tv"}), a_trigger(kind="rerank", topic_distance=0.0))
    ):
        user_state.fold_trigger(state, trigger, Position(0, offset, T0_MS), PARAMS)
    assert state.version == 0
    user_state.fold_trigger(state, a_trigger(kind="rerank"), Position(0, 2, T0_MS), PARAMS)
    assert state.version > 0


def test_a_snapshot_does_not_change_with_what_comes_after_it() -> None:
    state = fold_all([an_interaction(occurred_at=T0_MS), an_interaction(occurred_at=T0_MS + 1)])
    user_features = user_state.snapshot(state, PARAMS)
    body = msgspec.json.encode(user_features)
    fold_all([an_interaction(occurred_at=T0_MS + 2, action="like")], state=state, first=2)
    assert msgspec.json.encode(user_features) == body


def test_a_long_view_raises_the_affinity_more_than_a_short_one_and_no_more_than_a_click() -> None:
    def affinity(duration_s: float) -> float:
        state = fold_all([an_interaction(action="view", value=watched_share(duration_s))])
        return user_state.snapshot(state, PARAMS).topics["jazz"]

    second, ten_minutes, year = (affinity(duration_s) for duration_s in (1.0, 600.0, 3e7))
    click = user_state.snapshot(fold_all([an_interaction(action="click")]), PARAMS).topics["jazz"]
    assert 0 < second < 0.5 * ten_minutes < ten_minutes < year <= click


def test_an_affinity_halves_with_its_half_life() -> None:
    later = T0_MS + int(PARAMS.affinity_half_life_days * DAY_MS)
    state = fold_all([an_interaction(occurred_at=T0_MS), an_interaction(occurred_at=later)])
    assert user_state.snapshot(state, PARAMS).categories["music"] == pytest.approx(1.5)


def test_affinities_survive_more_half_lives_than_a_float_holds() -> None:
    years = T0_MS + int(3_000 * PARAMS.affinity_half_life_days * DAY_MS)
    state = fold_all([an_interaction(occurred_at=T0_MS), an_interaction(occurred_at=years)])
    assert user_state.snapshot(state, PARAMS).categories["music"] == pytest.approx(1.0)


def test_a_redelivered_record_changes_nothing() -> None:
    event = an_interaction()
    state = fold_all([event])
    before = user_state.snapshot(state, PARAMS)
    assert user_state.fold(state, event, Position(0, 0, T0_MS), subject=JAZZ, params=PARAMS) is None
    assert user_state.snapshot(state, PARAMS) == before


def test_an_event_published_twice_is_folded_once_and_signals_once() -> None:
    event = an_interaction()
    state = fold_all([event])
    before = user_state.snapshot(state, PARAMS)
    assert user_state.fold(state, event, Position(0, 1, T0_MS + 1), subject=JAZZ, params=PARAMS) is None
    assert user_state.snapshot(state, PARAMS) == msgspec.structs.replace(before, interactions_offset=1), (
        "it is known, and counts once"
    )


def test_an_event_that_failed_half_way_counts_when_it_is_sent_again() -> None:
    class Broken(ItemLabels):
        @property
        def category(self) -> str:
            raise RuntimeError("cannot be told")

    event, state = an_interaction(), UserState("u1")
    with pytest.raises(RuntimeError):
        user_state.fold(state, event, Position(0, 0, T0_MS), subject=Broken.__new__(Broken), params=PARAMS)
    assert user_state.fold(state, event, Position(0, 1, T0_MS + 1), subject=JAZZ, params=PARAMS) is not None


def test_a_topic_made_anew_is_read_although_its_offsets_start_again() -> None:
    state = fold_all([an_interaction() for _ in range(5)])
    news = user_state.fold(state, an_interaction(), Position(0, 0, T0_MS + 60_000), subject=JAZZ, params=PARAMS)
    assert news is not None
    assert state.event_count == 6


def test_a_search_is_remembered_and_signals_nothing() -> None:
    state = UserState("u1")
    event = an_interaction(action="search", item_id=None, query="late jazz")
    assert user_state.fold(state, event, Position(0, 0, T0_MS), subject=ItemLabels(), params=PARAMS) is None
    assert user_state.snapshot(state, PARAMS).queries == ["late jazz"]


def test_what_is_kept_is_bounded() -> None:
    state = fold_all([an_interaction(item_id=f"i{n}") for n in range(PARAMS.seen_items + 50)])
    assert len(state.seen) == PARAMS.seen_items
    assert "i0" not in state.seen
    assert len(state.recent) == PARAMS.recent_items


def test_only_the_newest_place_and_profile_hold() -> None:
    state = UserState("u1")
    new = a_ping("872a1072bffffff", occurred_at=T0_MS + 9)
    old = a_ping("87283472bffffff", occurred_at=T0_MS)
    user_state.fold_location(state, new, Position(0, 0, T0_MS), PARAMS)
    user_state.fold_location(state, old, Position(0, 1, T0_MS), PARAMS)
    assert state.cell == new.cell
    user_state.fold_profile(
        state, a_profile(categories=["music"], topics=["jazz"], occurred_at=5), Position(0, 0, T0_MS)
    )
    user_state.fold_profile(state, a_profile(categories=["movies"], occurred_at=4), Position(0, 1, T0_MS))
    assert state.preferred == ["music", "jazz"]


def test_a_time_zone_that_is_none_is_taken_as_not_said() -> None:
    state = UserState("u1")
    for occurred_at, name, expected in ((1, "Asia/Tokyo", "Asia/Tokyo"), (2, "Mars/Olympus", ""), (3, None, "")):
        user_state.fold_profile(state, a_profile(timezone=name, occurred_at=occurred_at), Position(0, 0, T0_MS))
        assert state.timezone == expected


def test_triggers_of_a_kind_within_the_window_are_merged_and_a_repeat_does_nothing() -> None:
    state, window_ms = UserState("u1"), PARAMS.triggers.window_ms
    triggers = [
        a_trigger(kind=kind, occurred_at=T0_MS + after_ms)
        for kind, after_ms in (
            ("refresh", 0),
            ("refresh", 1),
            ("time", 2),
            ("refresh", window_ms - 1),
            ("refresh", window_ms),
            ("location", window_ms),
            ("refresh", 2 * window_ms - 1),
        )
    ]
    feeds = []
    for trigger in [*triggers, triggers[0], triggers[2]]:
        version = state.version
        user_state.fold_trigger(state, trigger, Position(0, 0, T0_MS), PARAMS)
        if state.version != version:
            feeds.append((trigger.kind, trigger.occurred_at - T0_MS))
    assert feeds == [("refresh", 0), ("time", 2), ("refresh", window_ms), ("location", window_ms)]


@pytest.mark.parametrize("kind", ["rerank", "retrain", "erase", "unknown"])
def test_triggers_that_ask_for_something_else_leave_the_user_alone(kind: str) -> None:
    state = UserState("u1")
    candidates = ["i1"] if kind == "rerank" else []
    user_state.fold_trigger(state, a_trigger(kind=kind, candidates=candidates), Position(0, 0, T0_MS), PARAMS)
    assert state == UserState("u1")


def test_a_rerank_without_candidates_is_of_the_users_own_feed() -> None:
    state = UserState("u1")
    user_state.fold_trigger(state, a_trigger(kind="rerank"), Position(0, 0, T0_MS), PARAMS)
    assert (state.version, user_state.snapshot(state, PARAMS).triggered_at) == (T0_MS, T0_MS)


def test_versions_only_grow() -> None:
    state = UserState("u1")
    versions = []
    for append_ms in (T0_MS, T0_MS - 50, T0_MS, T0_MS + 9):
        user_state.touch(state, Position(0, 0, append_ms))
        versions.append(state.version)
    assert versions == sorted(set(versions))


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["view", "click", "like", "dislike"])), max_size=40),
    st.data(),
)
def test_repeats_anywhere_fold_to_the_same_state(steps: list[tuple[int, str]], data: st.DataObject) -> None:
    events = [
        an_interaction(item_id=f"i{item}", action=action, occurred_at=T0_MS + n * 1_000, event_id=f"e{n}")
        for n, (item, action) in enumerate(steps)
    ]
    once = fold_all(events)
    replay_state = UserState("u1")
    at = 0
    while at < len(events):
        upto = data.draw(st.integers(at + 1, len(events)))
        again = data.draw(st.integers(0, at))  # a crash: everything since an earlier commit comes again
        fold_all(events[again:upto], replay_state, first=again)
        at = upto
    twice = fold_all(events, fold_all(events), first=len(events))  # and published again as new records
    for state in (replay_state, twice):
        user_features, expected = user_state.snapshot(state, PARAMS), user_state.snapshot(once, PARAMS)
        assert (user_features.seen, user_features.recent, user_features.counts) == (
            expected.seen,
            expected.recent,
            expected.counts,
        )
        assert user_features.categories == pytest.approx(expected.categories)
        assert user_features.topics == pytest.approx(expected.topics)


def test_fetched_items_are_features_until_newer_ones_arrive() -> None:
    state = UserState("u1")
    later = [FoundItem(item_id="i9")]
    user_state.fold_content(state, a_content(), Position(0, 0, T0_MS))
    user_state.fold_content(
        state, a_content(category="music", items=[FoundItem(item_id="i2")]), Position(0, 1, T0_MS + 1)
    )
    assert user_state.snapshot(state, PARAMS).prefetched == ["i1", "i2"]
    version = state.version
    for message in (a_content(items=later), a_content(items=[], requested_at=T0_MS + 1)):  # a repeat, and nothing
        user_state.fold_content(state, message, Position(0, 2, T0_MS + 2))
    assert (user_state.snapshot(state, PARAMS).prefetched, state.version) == (["i1", "i2"], version)
    user_state.fold_content(state, a_content(items=later, requested_at=T0_MS + 2), Position(0, 3, T0_MS + 3))
    assert user_state.snapshot(state, PARAMS).prefetched == ["i9", "i2"]
    assert state.version > version


def test_a_profile_supplies_home_city_and_interests_for_prefetch() -> None:
    state = UserState("u1")
    attributes = {"keywords": "trumpet", "shoe_size": "43", "travel_history": "x" * 9_999}
    profile = a_profile(city="Lisbon", timezone="Europe/Lisbon", attributes=attributes)
    user_state.fold_profile(state, profile, Position(0, 0, T0_MS))
    assert user_state.snapshot(state, PARAMS).city == "Lisbon"
    assert state.timezone == "Europe/Lisbon"
    assert state.about == {"keywords": "trumpet", "travel_history": "x" * 500}


def test_a_user_counts_for_an_item_as_the_strongest_action_of_the_day() -> None:
    state, weights = UserState("u1"), []
    for number, action in enumerate(("click", "click", "like", "click", "like"), 1):
        event = an_interaction(event_id=str(number), action=action, occurred_at=T0_MS)
        outputs = user_state.fold(state, event, Position(0, number, number), subject=ItemLabels(), params=USER_PARAMS)
        assert outputs is not None
        weights.append(outputs.weight)
    assert weights[0] > 0.0
    assert weights[2] > 0.0
    assert weights[1] == weights[3] == weights[4] == 0.0
    tomorrow = an_interaction(event_id="6", action="click", occurred_at=T0_MS + 86_400_000)
    outputs = user_state.fold(state, tomorrow, Position(0, 6, 6), subject=ItemLabels(), params=USER_PARAMS)
    assert outputs is not None
    assert outputs.weight == weights[0]


SHARES = {"links": (day_limits.share, 17.0, 201.0, 3.5), "outcomes": (day_limits.outcome_share, 19.0, 205.0, 8.5)}
"""What events count for others: at least in a usual day, at most in any, and at most on one item."""


@pytest.mark.parametrize("name", SHARES)
def test_the_events_of_a_users_day_count_no_more_than_some_two_hundred_together(name: str) -> None:
    share, usual, most, _ = SHARES[name]
    state, shares = UserState("u1"), []
    for number in range(1, 5_001):
        event = an_interaction(event_id=str(number), item_id=f"i{number}", occurred_at=T0_MS)
        shares.append(share(state, f"i{number}", T0_MS))
        user_state.fold(state, event, Position(0, number, number), subject=ItemLabels(), params=USER_PARAMS)
    assert shares[0] == 1.0
    assert sum(shares[:20]) > usual, "a day of usual use counts nearly in full"
    assert sum(shares) <= most
    assert share(state, "new", T0_MS + 86_400_000) == 1.0


@pytest.mark.parametrize("name", SHARES)
def test_the_events_of_a_users_day_on_one_item_count_as_a_few(name: str) -> None:
    share, _, _, most = SHARES[name]
    state, shares = UserState("u1"), []
    for number in range(1, 1_001):
        event = an_interaction(event_id=str(number), item_id="i1", occurred_at=T0_MS)
        shares.append(share(state, "i1", T0_MS))
        user_state.fold(state, event, Position(0, number, number), subject=ItemLabels(), params=USER_PARAMS)
    assert sum(shares) <= most
