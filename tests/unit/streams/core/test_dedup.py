"""An event id counts once within a day, however many events come between, up to a bound; memory is bounded for ever."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import HOUR_MS
from schemas.types import Interaction
from streams.core.dedup import WINDOW_HOURS, fingerprint, remember_event
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import ItemLabels
from streams.core.user import user_state as user
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction
from tests.params import USER_PARAMS

PARAMS = USER_PARAMS


class Memory:
    def __init__(self, *, least: int = 4, most: int = 16) -> None:
        self.ids: dict[int, None] = {}
        self.hours: list[tuple[int, int]] = []
        self.least, self.most = least, most
        self.early = 0

    def see(self, event_id: int, at_ms: int) -> None:
        self.early += remember_event(self.ids, self.hours, event_id, at_ms, min_count=self.least, max_count=self.most)
        assert sum(count for _, count in self.hours) == len(self.ids)
        assert all(earlier[0] < later[0] for earlier, later in pairwise(self.hours))
        assert len(self.hours) <= WINDOW_HOURS + 2
        assert len(self.ids) <= max(self.most, self.least)


@given(st.lists(st.integers(0, 90 * 60_000), max_size=200))
def test_all_of_the_last_day_and_at_least_the_newest_are_known(pauses_ms: list[int]) -> None:
    memory, times, at_ms = Memory(most=1_000), [], T0_MS
    for number, pause_ms in enumerate(pauses_ms):
        at_ms += pause_ms
        times.append(at_ms)
        memory.see(number, at_ms)
        assert {n for n, then in enumerate(times) if at_ms - then <= WINDOW_HOURS * HOUR_MS} <= memory.ids.keys()
        assert set(range(max(0, number - 3), number + 1)) <= memory.ids.keys()
        old = {n for n, then in enumerate(times) if at_ms - then > (WINDOW_HOURS + 1) * HOUR_MS} & memory.ids.keys()
        assert not old or len(memory.ids) <= memory.least
    assert memory.early == 0


@given(st.lists(st.integers(-3 * HOUR_MS, 30 * HOUR_MS), min_size=1, max_size=300))
def test_no_clock_breaks_its_bounds(pauses_ms: list[int]) -> None:
    memory, at_ms = Memory(), T0_MS
    for number, pause_ms in enumerate(pauses_ms):
        at_ms += pause_ms
        memory.see(number, at_ms)
        assert number in memory.ids


def test_what_is_forgotten_within_the_day_is_counted() -> None:
    memory = Memory()
    for number in range(20):
        memory.see(number, T0_MS + number)
    assert (memory.early, list(memory.ids)) == (4, list(range(4, 20)))
    for number in range(20, 24):
        memory.see(number, T0_MS + 26 * HOUR_MS)
    assert (memory.early, list(memory.ids)) == (4, list(range(20, 24))), "the day is over for the others"


def test_ids_of_which_no_hour_is_known_give_way_first() -> None:
    memory = Memory()
    memory.ids = dict.fromkeys(range(100, 110))
    memory.see(1, T0_MS)
    assert list(memory.ids) == [107, 108, 109, 1]


def fold(state: UserState, event: Interaction, offset: int, at_ms: int) -> bool:
    return user.fold(state, event, Position(0, offset, at_ms), subject=ItemLabels(), params=PARAMS) is not None


@pytest.mark.parametrize(
    ("between", "after_ms", "counts"),
    [
        (10, 1_000, False),
        (1_023, 1_000, False),
        (1_024, 1_000, False),
        (5_000, 3_600_000, False),
        (16_000, 23 * HOUR_MS, False),
        (500, 100 * HOUR_MS, False),
        (1_024, 26 * HOUR_MS, True),
        (16_384, 1_000, True),
        (20_000, 26 * HOUR_MS, True),
        (0, 300 * HOUR_MS, False),
    ],
)
def test_a_repeat_counts_again_only_past_the_window(between: int, after_ms: int, counts: bool) -> None:
    state, first = UserState("u1"), an_interaction(event_id="first")
    assert fold(state, first, 0, T0_MS)
    for number in range(between):
        event = an_interaction(event_id=f"e{number}", item_id=f"i{number % 7}")
        assert fold(state, event, 1 + number, T0_MS + after_ms * (number + 1) // (between + 1))
    assert fold(state, first, between + 1, T0_MS + after_ms) == counts
    assert state.event_count == between + 1 + counts


def test_fingerprints_hardly_ever_meet() -> None:
    assert len({fingerprint(f"event-{number}") for number in range(200_000)}) == 200_000
