"""The highest rates: how far from the truth they may be, in how much memory, whatever the events and the clock."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.heavy_hitters import CAPACITY, HeavyHitters
from tests.build import T0_MS

MINUTE_MS = 60_000
ALL = 10_000
ROUNDING = 0.051


class Clock:
    def __init__(self, now_ms: int = T0_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def exact(events: Sequence[tuple[str, int]], now_ms: int) -> dict[str, float]:
    rates: dict[str, float] = {}
    for name, at_ms in events:
        rates[name] = rates.get(name, 0.0) + math.exp(min(0, at_ms - now_ms) / MINUTE_MS)
    return rates


NAMES = st.integers(0, 400).map(lambda number: f"u{math.isqrt(number)}")
"""Some names are much more frequent than others."""
EVENTS = st.lists(st.tuples(NAMES, st.integers(T0_MS - 10 * MINUTE_MS, T0_MS + MINUTE_MS)), max_size=300)


@given(events=EVENTS, capacity=st.integers(1, 8), later_ms=st.integers(0, 2 * MINUTE_MS))
def test_a_rate_is_never_above_the_true_one_and_within_the_bound_below_it(
    events: list[tuple[str, int]], capacity: int, later_ms: int
) -> None:
    clock = Clock(T0_MS + MINUTE_MS)
    rates = HeavyHitters(clock, capacity=capacity)
    for name, at_ms in events:
        rates.add(name, at_ms)
        assert len(rates) <= 2 * capacity
    clock.now_ms += later_ms
    truth, rates_by_key = exact(events, clock.now_ms), dict(rates.highest(ALL))
    bound = sum(truth.values()) / (capacity + 1)
    for name, rate in truth.items():
        assert rates_by_key.get(name, 0.0) <= rate + ROUNDING
        assert rate - bound <= rates_by_key.get(name, 1.0) + ROUNDING, "only rates below one per minute are not listed"
    assert list(rates_by_key.values()) == sorted(rates_by_key.values(), reverse=True)


@given(events=EVENTS, seed=st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter_while_all_names_have_room(
    events: list[tuple[str, int]], seed: random.Random
) -> None:
    straight, mixture = HeavyHitters(Clock()), HeavyHitters(Clock())
    for name, at_ms in events:
        straight.add(name, at_ms)
    for name, at_ms in seed.sample(events, len(events)):
        mixture.add(name, at_ms)
    straight_counts, right = dict(straight.highest(ALL)), dict(mixture.highest(ALL))
    for name in {*straight_counts, *right}:
        assert straight_counts.get(name, 1.0) == pytest.approx(right.get(name, 1.0), abs=2 * ROUNDING)


@given(
    times_ms=st.lists(st.integers(-(2**53), 2**53), max_size=50),
    clocks_ms=st.lists(st.integers(0, 2**53), min_size=1, max_size=50),
)
def test_no_time_and_no_clock_spoils_the_rates(times_ms: list[int], clocks_ms: list[int]) -> None:
    clock = Clock()
    rates = HeavyHitters(clock, capacity=4)
    for number, at_ms in enumerate(times_ms):
        clock.now_ms = clocks_ms[number % len(clocks_ms)]
        rates.add(f"u{number % 7}", at_ms)
        assert all(0.0 < rate <= len(times_ms) for _, rate in rates.highest(ALL))
    for now_ms in (2**53 + MINUTE_MS, T0_MS):
        clock.now_ms = now_ms
        for _ in range(100):
            rates.add(f"flood at {now_ms}", now_ms)
        assert rates.highest(1) == [(f"flood at {now_ms}", 100.0)]


@pytest.mark.parametrize("per_second", [1, 2, 10, 50])
def test_a_steady_stream_reads_as_its_events_per_minute(per_second: int) -> None:
    clock = Clock()
    rates = HeavyHitters(clock)
    for _ in range(600 * per_second):
        clock.now_ms += 1_000 // per_second
        rates.add("ann", clock.now_ms)
    [(_, rate)] = rates.highest(1)
    assert rate == pytest.approx(60 * per_second, rel=0.02)


def test_a_rate_falls_by_e_within_a_minute_and_leaves_the_list() -> None:
    clock = Clock()
    rates = HeavyHitters(clock)
    for _ in range(1_000):
        rates.add("bot", T0_MS)
    for minutes, expected in ((0, 1_000.0), (1, 367.9), (2, 135.3), (6, 2.5)):
        clock.now_ms = T0_MS + minutes * MINUTE_MS
        assert rates.highest(1) == [("bot", expected)]
    clock.now_ms = T0_MS + 7 * MINUTE_MS
    assert rates.highest(1) == []


def test_events_that_were_read_late_count_at_the_time_of_their_arrival() -> None:
    rates = HeavyHitters(Clock())
    for _ in range(1_000):
        rates.add("yesterday", T0_MS - 86_400_000)
    rates.add("now", T0_MS)
    assert rates.highest(ALL) == [("now", 1.0)]


def test_a_flood_stands_out_among_more_users_than_there_is_room_for() -> None:
    clock = Clock()
    rates = HeavyHitters(clock)
    for number in range(100_000):
        clock.now_ms = T0_MS + number * MINUTE_MS // 100_000
        rates.add(f"user-{number}", clock.now_ms)
        if number % 50 == 0:
            rates.add("bot", clock.now_ms)
        assert len(rates) <= 2 * CAPACITY
    [(name, rate), *others] = rates.highest(10)
    assert name == "bot"
    assert rate > 1_000
    assert all(other <= 2.0 for _, other in others)


@pytest.mark.parametrize("capacity", [1, 2, 3, 10])
def test_users_who_were_busy_before_do_not_hide_a_flood(capacity: int) -> None:
    rates = HeavyHitters(Clock(), capacity=capacity)
    for number in range(capacity):
        for _ in range(50):
            rates.add(f"busy-{number}", T0_MS)
    for _ in range(200):
        for _ in range(5):
            rates.add("bot", T0_MS)
        for number in range(capacity):
            rates.add(f"passer-by-{number}", T0_MS)
    [(name, rate)] = rates.highest(1)
    assert name == "bot"
    assert rate >= 1_000 - (50 * capacity + 1_000 + 200 * capacity) / (capacity + 1)


def test_nothing_is_left_after_it_is_cleared() -> None:
    rates = HeavyHitters(Clock())
    rates.add("ann", T0_MS)
    rates.clear()
    assert rates.highest(ALL) == []
    assert len(rates) == 0
