"""Moves: what is told, and what a walk along a border, a train ride and a flight come to."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import h3
from hypothesis import given
from hypothesis import strategies as st

from schemas.types import Location, Trigger
from streams.core.position import Position
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, a_ping
from tests.params import TRIGGER_PARAMS, USER_PARAMS

TRIGGERS = TRIGGER_PARAMS
PARAMS = replace(USER_PARAMS, triggers=TRIGGERS)
HOME = h3.latlng_to_cell(40.7308, -73.9973, 7)
NEXT, OTHER = sorted(h3.grid_ring(HOME, 1))[:2]
TWO_AWAY = sorted(h3.grid_ring(HOME, 2))[0]
CHICAGO = h3.latlng_to_cell(41.8781, -87.6298, 7)
SYDNEY = h3.latlng_to_cell(-33.8688, 151.2093, 7)
MINUTE_MS = 60_000
DWELL_MIN = TRIGGERS.geofence_dwell_ms // MINUTE_MS


def pings(*steps: tuple[int, str]) -> list[Location]:
    """Return pings at minutes."""
    return [
        a_ping(cell, event_id=f"ping-{number}", occurred_at=T0_MS + minute * MINUTE_MS)
        for number, (minute, cell) in enumerate(steps)
    ]


def fold_all(events: list[Location], state: UserState | None = None) -> list[Trigger]:
    state = state or UserState("u1")
    outputs = [
        user_state.fold_location(state, event, Position(0, n, T0_MS + n), PARAMS) for n, event in enumerate(events)
    ]
    return [trigger for trigger in outputs if trigger is not None]


def told(*steps: tuple[int, str]) -> list[tuple[int, str]]:
    """Return the minutes and reasons of what pings trigger."""
    return [((output.occurred_at - T0_MS) // MINUTE_MS, output.reason) for output in fold_all(pings(*steps))]


def test_the_first_ping_is_a_new_city() -> None:
    [trigger] = fold_all(pings((0, HOME)))
    assert (trigger.kind, trigger.reason, trigger.user_id, trigger.occurred_at) == ("location", "new-city", "u1", T0_MS)


def test_a_walk_along_a_border_triggers_once() -> None:
    assert told(*((minute, (HOME, NEXT)[minute % 2]) for minute in range(120))) == [(0, "new-city")]


def test_a_walk_around_a_corner_of_three_cells_triggers_once() -> None:
    assert told(*((minute, (HOME, NEXT, OTHER)[minute % 3]) for minute in range(120))) == [(0, "new-city")]


def test_who_stays_next_door_has_moved() -> None:
    steps = [(0, HOME), *((30 + minute, NEXT) for minute in range(3 * DWELL_MIN))]
    assert told(*steps) == [(0, "new-city"), (30 + DWELL_MIN, "new-area")]


def test_two_cells_away_is_a_new_area_at_once() -> None:
    assert told((0, HOME), (30, TWO_AWAY)) == [(0, "new-city"), (30, "new-area")]


def test_a_flight_is_a_new_city_at_once_however_far() -> None:
    assert told((0, HOME), (180, CHICAGO), (2_000, SYDNEY)) == [
        (0, "new-city"),
        (180, "new-city"),
        (2_000, "new-city"),
    ]


def test_a_ride_triggers_once_per_window_and_at_its_end() -> None:
    line = h3.grid_path_cells(HOME, h3.latlng_to_cell(40.7308, -74.4, 7))
    stops = [a_ping(cell, occurred_at=T0_MS + n * 10_000) for n, cell in enumerate(line)]
    rest = [a_ping(line[-1], occurred_at=stops[-1].occurred_at + n * 30_000) for n in range(1, 30)]
    state = UserState("u1")
    outputs = fold_all(stops + rest, state)
    times = [trigger.occurred_at for trigger in outputs]
    assert all(later - earlier >= TRIGGERS.window_ms for earlier, later in pairwise(times))
    assert len(outputs) > 2
    assert state.anchor == line[-1]


def test_a_late_ping_changes_nothing() -> None:
    state = UserState("u1")
    fold_all(pings((10, HOME)), state)
    assert fold_all(pings((5, CHICAGO)), state) == []
    assert (state.cell, state.anchor) == (HOME, HOME)


def test_cells_of_another_resolution_are_another_place() -> None:
    assert told((0, HOME), (30, h3.cell_to_parent(HOME, 5)))[-1] == (30, "new-area")


@given(st.lists(st.tuples(st.integers(1, DWELL_MIN - 1), st.sampled_from([NEXT, OTHER])), max_size=40))
def test_a_walk_that_returns_repeatedly_triggers_no_more(steps: list[tuple[int, str]]) -> None:
    walk, minute = [(0, HOME)], 0
    for away, cell in steps:
        walk += [(minute + 1, cell), (minute + away, cell), (minute + away + 1, HOME)]
        minute += away + 1
    assert told(*walk) == [(0, "new-city")]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from([HOME, NEXT, OTHER, TWO_AWAY, CHICAGO])), max_size=40),
    st.data(),
)
def test_any_batch_split_and_replay_publishes_the_same(steps: list[tuple[int, str]], data: st.DataObject) -> None:
    minute, walk = 0, []
    for wait, cell in steps:
        minute += wait
        walk.append((minute, cell))
    events = pings(*walk)
    once = {trigger.event_id: trigger for trigger in fold_all(events)}
    state, replay, at = UserState("u1"), dict[str, Trigger](), 0
    while at < len(events):
        upto = data.draw(st.integers(at + 1, len(events)))
        again = data.draw(st.integers(0, at))  # a crash: everything since an earlier commit comes again
        replay |= {trigger.event_id: trigger for trigger in fold_all(events[again:upto], state)}
        at = upto
    assert replay == once
