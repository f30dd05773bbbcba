"""Percentiles by nearest rank, and the latency of each event from feeds that were replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cases.freshness import latencies_ms
from bench.latency import percentile, summary_ms
from bench.rig import BenchError
from tests.build import T0_MS, an_interaction


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_percentile_of_a_hundred_values_is_that_value(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


@given(st.lists(st.integers(), min_size=1), st.floats(0.01, 1))
def test_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[int], share: float) -> None:
    figures = percentile(sorted(values), share)
    assert sum(value <= figures for value in values) >= share * len(values) - 1e-9
    assert sum(value < figures for value in values) < share * len(values)


def test_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_summary_sorts() -> None:
    assert summary_ms([3.0, 1.0, 2.0]) == {"p50_ms": 2.0, "p95_ms": 3.0, "p99_ms": 3.0}


def test_latency_counts_to_the_first_feed_that_knows_of_the_event() -> None:
    events = [an_interaction(user_id="u1", occurred_at=T0_MS + at) for at in (0, 10, 20)]
    replaced_s = {("u1", 1, 1): T0_MS / 1000 + 0.1, ("u1", 2, 2): T0_MS / 1000 + 0.3, ("u2", 1, 1): T0_MS / 1000}
    watermarks = {("u1", 1, 1): T0_MS, ("u1", 2, 2): T0_MS + 20, ("u2", 1, 1): T0_MS + 99}
    assert latencies_ms(events, replaced_s, watermarks) == pytest.approx([100, 290, 280], abs=0.01)


def test_event_that_no_feed_knows_of_is_an_error() -> None:
    event = an_interaction(user_id="u1", occurred_at=T0_MS + 1)
    with pytest.raises(BenchError, match="never came"):
        latencies_ms([event], {("u1", 1, 1): 0.0}, {("u1", 1, 1): T0_MS})
