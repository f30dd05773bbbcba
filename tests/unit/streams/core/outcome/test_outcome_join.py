"""The join of impressions with what follows: which impression an action counts for, and that no order changes it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.types import Impression, Interaction, Outcome, ShownItem
from streams.core.outcome.attribution import Provenance
from streams.core.outcome.click_figures import MAX_LABELS, OTHER
from streams.core.outcome.outcome_join import OutcomeJoin
from streams.core.params import OutcomeParams
from tests.build import T0_MS, an_interaction

WINDOW_S, LATENESS_S = 3_600, 600
WINDOW_MS, LATENESS_MS = 1_000 * WINDOW_S, 1_000 * LATENESS_S
INTERVAL_MS = 600_000
EARLY_S = 15
PARAMS = OutcomeParams(window_s=WINDOW_S, early_window_s=EARLY_S, lateness_s=LATENESS_S, rating_scale=5.0)
FEED = Provenance(source="trending", category="music", model="blend-5", arms={"homepage": "b"})
Event = tuple[Impression | Interaction, int]
"""An event with its append time in ms since the epoch."""


def shown(*item_ids: str, at_ms: int = 0, after_ms: int = 0, **overrides: Any) -> Event:
    """Return an impression some time after T0, appended some time after it."""
    items = [ShownItem(item_id=item_id, position=place) for place, item_id in enumerate(item_ids)]
    fields = {"event_id": f"shown-{at_ms}", "user_id": "u1", "items": items} | overrides
    return Impression(occurred_at=T0_MS + at_ms, **fields), T0_MS + at_ms + after_ms


def acted(action: str, item_id: str, at_ms: int, after_ms: int = 0, **overrides: Any) -> Event:
    """Return an action some time after T0, appended some time after it."""
    fields: dict[str, Any] = {"event_id": f"{action}-{item_id}-{at_ms}", "item_id": item_id, "action": action}
    return an_interaction(occurred_at=T0_MS + at_ms, **(fields | overrides)), T0_MS + at_ms + after_ms


def a_join(**overrides: Any) -> OutcomeJoin:
    return OutcomeJoin(replace(PARAMS, **overrides), interval_ms=INTERVAL_MS)


def take(join: OutcomeJoin, *events: Event) -> None:
    for event, append_ms in events:
        join.show(event, append_ms) if isinstance(event, Impression) else join.act(event, append_ms)


def advance(join: OutcomeJoin, at_ms: int) -> list[Outcome]:
    """Move the clock to a time after T0, and return the outcomes to publish as records."""
    for entry in join.unresolved(T0_MS + at_ms):
        join.resolve(entry, FEED)
    return [entry.record(WINDOW_MS) for entry in join.advance(T0_MS + at_ms)]


def final(*events: Event) -> dict[str, Outcome]:
    """Return the last record of each outcome of some events, published one by one as they come."""
    join, records = a_join(), {}
    newest_ms = 0
    for event, append_ms in events:
        take(join, (event, append_ms))
        newest_ms = max(newest_ms, append_ms)
        records |= {one.outcome_id: one for one in advance(join, 0)}
    for step_ms in range(0, 4 * WINDOW_MS, LATENESS_MS):
        records |= {one.outcome_id: one for one in advance(join, step_ms)}
    assert join.size == 0
    return records


def test_an_outcome_closes_after_its_window_with_what_followed() -> None:
    join = a_join()
    take(
        join,
        shown("a", "b", request_id="r1", surface="home"),
        acted("click", "a", 1_000, context={"duration_seconds": "2.5"}),
        acted("purchase", "a", WINDOW_MS),
        acted("like", "a", WINDOW_MS + 1),
        acted("skip", "b", 2_000),
    )
    assert advance(join, WINDOW_MS - 1) == []
    first, second = advance(join, WINDOW_MS)
    assert (first.outcome_id, first.place, first.item_id) == ("shown-0:0", 0, "a")
    assert (first.clicks, first.conversions, first.likes, first.dwell_ms) == (2, 1, 0, 2_500)
    assert (first.source, first.category, first.model, first.arms) == (
        *("trending", "music", "blend-5"),
        {"homepage": "b"},
    )
    assert (first.request_id, first.surface, first.is_reported) == ("r1", "home", True)
    assert (first.shown_at, first.closed_at) == (T0_MS, T0_MS + WINDOW_MS)
    assert (second.outcome_id, second.clicks, second.skips) == ("shown-0:1", 0, 1)
    assert advance(join, 10 * WINDOW_MS) == []
    assert join.size == 0


def test_an_action_counts_once_for_the_newest_impression_or_that_of_its_request() -> None:
    impressions = [shown("a", at_ms=at_ms, request_id=f"r{at_ms}") for at_ms in (0, 1_000, 2_000)]
    records = final(
        *impressions,
        acted("click", "a", 1_500),
        acted("click", "a", 3_000, request_id="r0"),
        acted("click", "a", 3_001, request_id="unknown"),
        acted("click", "b", 3_002),
        acted("view", "a", 3_003),
    )
    assert {one.shown_at - T0_MS: one.clicks for one in records.values()} == {0: 1, 1_000: 1, 2_000: 1}


def test_a_late_event_publishes_the_outcome_anew_until_the_lateness_has_passed() -> None:
    join = a_join()
    take(join, shown("a", "b"))
    assert [one.clicks for one in advance(join, WINDOW_MS)] == [0, 0]
    take(join, acted("click", "a", WINDOW_MS - 1, LATENESS_MS))
    [anew] = advance(join, WINDOW_MS + LATENESS_MS - 1)
    assert (anew.outcome_id, anew.clicks) == ("shown-0:0", 1)
    take(join, acted("click", "b", 5, LATENESS_MS + 1))
    assert advance(join, WINDOW_MS + LATENESS_MS) == []
    assert join.late_count == 1
    take(join, shown("c", at_ms=10 * WINDOW_MS, after_ms=LATENESS_MS), acted("click", "c", 10 * WINDOW_MS + 1))
    [late] = advance(join, 11 * WINDOW_MS + LATENESS_MS)
    assert (late.item_id, late.clicks) == ("c", 1)


def test_a_report_takes_the_place_of_what_the_server_assumed() -> None:
    log = shown("a", "b", "c", request_id="r1", event_id="served", is_reported=False)
    elsewhere = shown("a", "d", at_ms=5, event_id="served-2", request_id="r2", is_reported=False)
    report = shown("b", at_ms=1_000, request_id="r1", event_id="reported")
    item_report = shown("d", at_ms=1_001, event_id="unnamed")
    click = acted("click", "a", 2_000, request_id="r1")
    for events in ((log, elsewhere, report, item_report, click), (click, item_report, report, elsewhere, log)):
        records = final(*events)
        assert {(one.outcome_id, one.is_reported, one.clicks) for one in records.values()} == {
            ("reported:0", True, 0),
            ("unnamed:0", True, 0),
            ("served-2:0", False, 1),
        }, "items of the request that the client did not report were not visible"


def test_without_a_report_the_servers_log_stands_in() -> None:
    [record] = final(shown("a", is_reported=False), acted("click", "a", 5)).values()
    assert (record.is_reported, record.clicks) == (False, 1)


ITEMS, TIMES = st.sampled_from("ab"), st.integers(0, WINDOW_MS // 2)
LATE = st.integers(0, LATENESS_MS + 10)
EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda items, at_ms, late, request, is_reported: shown(
                *items,
                at_ms=at_ms,
                after_ms=late,
                event_id=f"{at_ms}-{request}-{is_reported}",
                request_id=request,
                is_reported=is_reported,
            ),
            st.lists(ITEMS, min_size=1, max_size=2, unique=True),
            TIMES,
            LATE,
            st.sampled_from(["r1", "r2", None]),
            st.booleans(),
        ),
        st.builds(
            lambda action, item, at_ms, late, request: acted(action, item, at_ms, late, request_id=request),
            st.sampled_from(["click", "skip", "purchase", "view"]),
            ITEMS,
            TIMES,
            LATE,
            st.sampled_from(["r1", "r2", None]),
        ),
    ),
    max_size=12,
    unique_by=lambda event: event[0].event_id,
)


@given(EVENTS, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_repeats_give_the_same_outcomes(events: list[Event], rng: random.Random) -> None:
    expected = final(*events)
    again = [*events, *rng.sample(events, len(events) // 2)]
    rng.shuffle(again)
    assert final(*again) == expected


@given(EVENTS, st.integers(0, 2 * WINDOW_MS))
@settings(max_examples=150, deadline=None)
def test_a_join_that_is_restored_from_the_log_goes_on_as_if_it_had_never_stopped(
    events: list[Event], stop_ms: int
) -> None:
    events = sorted(events, key=lambda event: event[1])
    old_events = [event for event in events if event[1] <= T0_MS + stop_ms]
    new_events = [event for event in events if event[1] > T0_MS + stop_ms]
    steady, records = a_join(), {}
    take(steady, *old_events)
    records |= {one.outcome_id: one for one in advance(steady, stop_ms)}
    since_ms = (T0_MS + stop_ms - WINDOW_MS - LATENESS_MS) // INTERVAL_MS * INTERVAL_MS
    successor = OutcomeJoin(PARAMS, interval_ms=INTERVAL_MS, since_ms=since_ms)
    take(successor, *(event for event in old_events if event[1] >= since_ms - WINDOW_MS))
    advance(successor, stop_ms)
    assert steady.take_figures().items() >= successor.take_figures().items()
    for join in (steady, successor):
        take(join, *new_events)
    for step_ms in range(stop_ms, stop_ms + 4 * WINDOW_MS, LATENESS_MS):
        assert sorted(map(repr, advance(steady, step_ms))) == sorted(map(repr, advance(successor, step_ms)))
        assert steady.take_figures() == successor.take_figures()
    assert steady.size == successor.size == 0


def early(join: OutcomeJoin, at_ms: int) -> dict[str, int]:
    """Move the clock to a time after T0, and return the clicks of early outcomes by id."""
    advance(join, at_ms)
    return {entry.outcome_id: counts.clicks for entry, counts in join.take_early()}


def test_an_early_outcome_comes_once_and_tells_of_the_actions_in_its_window() -> None:
    join = a_join()
    take(join, shown("a", "b", "c"), acted("click", "a", 1_000), acted("click", "b", 1_000 * EARLY_S + 1))
    assert early(join, 1_000 * EARLY_S - 1) == {}
    take(join, acted("click", "c", 1_000 * EARLY_S))
    assert early(join, 60_000) == {"shown-0:0": 1, "shown-0:1": 0, "shown-0:2": 1}
    take(join, acted("click", "a", 2_000), shown("d", at_ms=60_000), acted("skip", "d", 61_000))
    advance(join, 120_000)
    [(entry, counts)] = join.take_early()
    record = entry.early_record(counts)
    assert (record.outcome_id, record.item_id, record.shown_at) == ("shown-60000:0", "d", T0_MS + 60_000)
    assert (record.clicks, record.skips, record.category, record.arms) == (0, 1, "music", {"homepage": "b"})
    assert [one.clicks for one in advance(join, WINDOW_MS)] == [2, 1, 1]
    assert join.take_early() == []


def test_early_outcomes_are_those_of_impressions_that_count() -> None:
    join = a_join()
    log = shown("a", event_id="log", request_id="r", is_reported=False)
    take(join, log, shown("a", at_ms=500, request_id="r"), acted("click", "a", 1_000))
    take(join, shown("a", user_id="u2", event_id="gone"))
    join.forget_user("u2")
    assert early(join, 20_000) == {"shown-500:0": 1}


def test_after_a_long_gap_early_outcomes_are_as_they_would_have_been() -> None:
    join = a_join()
    take(join, shown("a"), acted("click", "a", 1_000), acted("click", "a", 100_000))
    assert early(join, 3 * WINDOW_MS) == {"shown-0:0": 1}
    assert join.size == 0


def test_the_early_window_is_no_longer_than_the_window() -> None:
    assert replace(PARAMS, early_window_s=2 * WINDOW_S).early_window_ms == WINDOW_MS


def test_the_click_figures_follow_each_outcome_once() -> None:
    join = a_join()
    take(join, shown(*(f"i{n}" for n in range(12))), acted("click", "i0", 1_000))
    advance(join, 2_000)
    number = T0_MS // INTERVAL_MS
    figures = join.take_figures()[number]
    assert figures["all"] == {"": (12, 1)}
    assert figures["place"] == {str(n): (1, int(n == 0)) for n in range(10)} | {"10+": (2, 0)}
    assert (figures["source"], figures["arm"]) == ({"trending": (12, 1)}, {"homepage=b": (12, 1)})
    assert join.take_figures() == {}
    take(join, acted("click", "i0", 1_001), acted("click", "i11", 1_002), shown(*(f"i{n}" for n in range(12))))
    advance(join, 3_000)
    assert join.take_figures()[number]["all"] == {"": (12, 2)}


def test_labels_are_bounded() -> None:
    join = a_join()
    take(join, shown(*(f"i{n}" for n in range(2 * MAX_LABELS))))
    for number, entry in enumerate(join.unresolved(T0_MS + 1)):
        join.resolve(entry, Provenance(source=f"source {number}"))
    sources = join.take_figures()[T0_MS // INTERVAL_MS]["source"]
    assert len(sources) == MAX_LABELS + 1
    assert sources[OTHER] == (MAX_LABELS, 0)


def test_the_events_of_a_user_and_of_all_are_bounded() -> None:
    join = a_join(max_user_events=5, max_events=8)
    take(join, shown(*(f"i{n}" for n in range(9))), acted("click", "i0", 1_000))
    assert (join.size, join.refused_count) == (5, 5)
    take(join, shown(*(f"i{n}" for n in range(5)), at_ms=1, user_id="u2", event_id="shown"))
    outcomes = advance(join, 2_000)
    assert join.size <= 8
    assert join.early_count == 10
    assert {one.user_id for one in outcomes[:5]} == {"u1"}, "outcomes close early, the oldest first"


def test_a_user_is_forgotten() -> None:
    join = a_join()
    take(join, shown("a", request_id="r"), acted("click", "a", 5), shown("a", user_id="u2"))
    join.forget_user("u1")
    assert [one.user_id for one in advance(join, WINDOW_MS)] == ["u2"]
    assert join.unresolved(T0_MS + WINDOW_MS) == []


@pytest.mark.parametrize(("places", "ids"), [((0, 0, 3), ("shown-0:0", "shown-0:0.1", "shown-0:3"))])
def test_outcome_ids_stay_unique_where_a_client_repeats_a_place(places: tuple[int, ...], ids: tuple[str, ...]) -> None:
    items = [ShownItem(item_id=f"i{number}", position=place) for number, place in enumerate(places)]
    assert tuple(final(shown(items=items))) == ids
