"""Folding signals into trends: decay, groups, and signals that come again."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.timestamp import DAY_MS, HOUR_MS
from models import decay
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.position import Position
from tests.build import T0_MS
from tests.params import SIGNAL_PARAMS

PARAMS = SIGNAL_PARAMS


def a_signal(offset: int, *, partition: int = 0, **overrides: Any) -> ItemSignal:
    fields: dict[str, Any] = {
        "item_id": "i1",
        "position": Position(partition, offset, T0_MS + offset),
        "occurred_at": T0_MS,
        "action": "click",
        "weight": 1.0,
    }
    return ItemSignal(**(fields | overrides))


def fold(state: ItemState, *signals: ItemSignal) -> bool:
    return item_stats.fold(state, item_stats.to_record(signals), params=PARAMS)


def trend(state: ItemState, at_ms: int) -> float:
    return decay.as_of(item_stats.stats(state).trending, at_ms=at_ms, rate=PARAMS.trending_rate)


def test_a_trend_keeps_ninety_five_percent_an_hour() -> None:
    state = ItemState("i1")
    fold(state, a_signal(0, weight=2.0))
    assert trend(state, T0_MS) == pytest.approx(2.0)
    assert trend(state, T0_MS + HOUR_MS) == pytest.approx(2.0 * 0.95)
    assert trend(state, T0_MS + 24 * HOUR_MS) == pytest.approx(2.0 * 0.95**24)


def test_a_late_signal_counts_as_if_it_had_come_in_time() -> None:
    early, late = a_signal(0, occurred_at=T0_MS), a_signal(1, occurred_at=T0_MS - 5 * HOUR_MS)
    state = ItemState("i1")
    for each in (early, late):
        fold(state, each)
    assert trend(state, T0_MS) == pytest.approx(1.0 + 0.95**5)


def test_a_signal_that_comes_again_changes_nothing() -> None:
    state = ItemState("i1")
    assert fold(state, a_signal(4))
    before = item_stats.stats(state)
    assert not fold(state, a_signal(4))
    assert not fold(state, a_signal(3))
    assert item_stats.stats(state) == before
    assert fold(state, a_signal(4, partition=1))


def test_a_dislike_is_counted_and_does_not_lift_the_item() -> None:
    state = ItemState("i1")
    fold(state, a_signal(0, action="dislike", weight=-2.0))
    stats = item_stats.stats(state)
    assert (stats.counts, stats.trending) == ({"dislike": 1}, -math.inf)


def test_hours_and_weekdays_are_counted_and_fade() -> None:
    state, friday_ms = ItemState("i1"), DAY_MS + 9 * HOUR_MS
    fold(state, a_signal(0, occurred_at=friday_ms, weight=2.0))
    fold(state, a_signal(1, occurred_at=friday_ms + HOUR_MS), a_signal(2, occurred_at=friday_ms, weight=-1.0))
    stats = item_stats.stats(state)
    assert {hour: round(sum_, 2) for hour, sum_ in enumerate(stats.hours) if sum_} == {9: 2.0, 10: 1.0}
    assert {day: round(sum_, 2) for day, sum_ in enumerate(stats.weekdays) if sum_} == {1: 3.0}
    fold(state, a_signal(3, occurred_at=friday_ms + 90 * DAY_MS))
    assert item_stats.stats(state).hours[9] == pytest.approx(1.0 + 1.0)
    assert item_stats.stats(state).hours[10] == pytest.approx(0.5, rel=1e-2)


def test_a_state_from_before_the_slow_popularity_goes_on() -> None:
    state = ItemState("i1", horizons=[0.0, 0.0, 0.0])
    fold(state, a_signal(0, occurred_at=0))
    assert item_stats.stats(state).horizons == pytest.approx([math.log(2.0)] * 3 + [0.0])


def test_slow_popularity_halves_in_ninety_days() -> None:
    state = ItemState("i1")
    fold(state, a_signal(0, occurred_at=T0_MS), a_signal(1, occurred_at=T0_MS + 90 * DAY_MS))
    rate = decay.rate_of_half_life(90.0)
    slow = item_stats.stats(state).horizons[3]
    assert decay.as_of(slow, at_ms=T0_MS + 90 * DAY_MS, rate=rate) == pytest.approx(1.5)


def test_each_group_has_its_own_popularity() -> None:
    state = ItemState("i1")
    fold(state, a_signal(0, segment="25-34|f", weight=3.0))
    fold(state, a_signal(1, weight=1.0))
    stats = item_stats.stats(state)
    assert stats.popularity - stats.segments["25-34|f"] == pytest.approx(math.log(4.0 / 3.0))


@given(st.permutations(list(range(12))))
def test_partitions_may_interleave_in_any_way(order: list[int]) -> None:
    signals = [a_signal(n // 3, partition=n % 3, weight=1.0 + n, occurred_at=T0_MS + n * HOUR_MS) for n in range(12)]
    lanes = {partition: iter([s for s in signals if s.position.partition == partition]) for partition in range(3)}
    straight, mixture = ItemState("i1"), ItemState("i1")
    for each in signals:
        fold(straight, each)
    for n in order:
        fold(mixture, next(lanes[n % 3]))
    assert item_stats.stats(mixture).trending == pytest.approx(item_stats.stats(straight).trending, abs=1e-9)


def test_signals_of_one_record_count_as_those_of_several() -> None:
    signals = [
        a_signal(4, rating=0.5, user_event_index=3),
        a_signal(7, action="dislike", weight=-2.0, segment="25-34|f", user_event_index=7, occurred_at=T0_MS + HOUR_MS),
        a_signal(9, weight=2.5, segment="25-34|f", user_event_index=40, occurred_at=T0_MS - HOUR_MS),
        a_signal(10, weight=0.3, rating=1.0, occurred_at=T0_MS + 30 * HOUR_MS),
    ]
    together, apart = ItemState("i1"), ItemState("i1")
    assert fold(together, *signals)
    for each in signals:
        fold(apart, each)
    result, expected = (msgspec.to_builtins(state) for state in (together, apart))
    assert flat(result) == pytest.approx(flat(expected), rel=1e-12)


def flat(state: Any) -> list[Any]:
    """Return the numbers of a state, in their order."""
    if isinstance(state, dict):
        state = [state[key] for key in sorted(state)]
    return [number for part in state for number in flat(part)] if isinstance(state, list) else [state]


def test_repeats_among_signals_of_one_record_are_skipped() -> None:
    once, twice = ItemState("i1"), ItemState("i1")
    fold(once, a_signal(0), a_signal(1), a_signal(2))
    assert fold(twice, a_signal(0), a_signal(1))
    assert fold(twice, a_signal(1), a_signal(2))
    assert not fold(twice, a_signal(0), a_signal(2))
    assert item_stats.stats(twice).counts == item_stats.stats(once).counts == {"click": 3}
    assert item_stats.stats(twice).trending == pytest.approx(item_stats.stats(once).trending)
