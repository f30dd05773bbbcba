"""Decay at any time that a record may hold, in any order: nothing overflows and nothing is lost to NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import decay
from models.neighbours.cooccurrence import DecayedCooccurrence

TIMES = st.one_of(
    st.sampled_from([0, 1, 1_700_000_000, 1_700_000_000_000, 253_402_300_799_999, 1_700_000_000_000_000, 2**53]),
    st.integers(0, 2**53),
)


@given(half_lives=st.one_of(st.floats(allow_nan=False), st.integers(-(2**60), 2**60).map(float)))
def test_a_factor_is_positive_and_finite_whatever_the_time(half_lives: float) -> None:
    assert 0.0 < decay.factor(half_lives) < math.inf
    assert decay.factor(half_lives, max_half_lives=64.0) <= 2.0**64


@pytest.mark.parametrize(("half_lives", "expected"), [(0.0, 1.0), (-2.0, 0.25), (3.0, 8.0), (0.5, math.sqrt(2.0))])
def test_a_factor_is_a_power_of_two(half_lives: float, expected: float) -> None:
    assert decay.factor(half_lives) == pytest.approx(expected)


@given(times=st.lists(TIMES, min_size=1, max_size=20), at_ms=TIMES)
def test_decayed_sums_are_finite_whatever_the_times(times: list[int], at_ms: int) -> None:
    rate, log_sum = decay.rate_of_hourly(0.95), decay.EMPTY
    for time in times:
        log_sum = decay.add(log_sum, 1.0, at_ms=time, rate=rate)
    assert math.isfinite(log_sum)
    assert 0.0 <= decay.as_of(log_sum, at_ms=at_ms, rate=rate) < math.inf


@given(events=st.lists(st.tuples(st.integers(0, 4), TIMES), min_size=1, max_size=30), at_ms=TIMES, put_ms=TIMES)
def test_links_are_finite_whatever_the_times(events: list[tuple[int, int]], at_ms: int, put_ms: int) -> None:
    table = DecayedCooccurrence(half_life_days=1.0)
    window: list[int] = []
    with np.errstate(all="raise", under="ignore"):
        for item, time in events:
            before = np.array(window[::-1], np.int32)
            moments = np.arange(len(before), dtype=np.int64)
            table.learn(item, before, moments, at_ms=time)
            window.append(item)
        sums = np.array([[1.0, 2.0], [0.5, 0.5]])
        table.put(5, np.array([0, 1], np.int32), sums, event_count=3.0, reference_ms=put_ms)
        table.learn(5, np.array([0], np.int32), np.ones(1, np.int64), at_ms=at_ms)
    for item in range(6):
        _, sums = table.links.row(item)
        assert np.isfinite(sums).all()
        assert math.isfinite(table.links.event_count(item))
        assert 0.0 <= table.events(item, at_ms) < math.inf
        assert 0.0 <= table.share(item, at_ms, damping=0.15) < math.inf
