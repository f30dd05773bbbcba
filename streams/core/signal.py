"""An item's state and how signals fold into it: trending, popularity, counts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from models import decay
from schemas.types import Action, ItemSignals, ItemStats
from streams.core.params import SignalParams
from streams.core.position import Position

HORIZON_RATES = tuple(decay.rate_of_half_life(days) for days in (1.0, 7.0, math.inf))
"""Decay rates of the horizons over which popularity is told besides the two that are settings."""
_COHORT_BOUNDS = (1, 5, 15, 40, 100)
COHORTS = len(_COHORT_BOUNDS) + 1


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """Everything kept of one item. New fields are added at the end, with a default."""

    item_id: str
    trending: float | None = None
    """Natural logarithm of the decayed sum; None for nothing yet."""
    popularity: float | None = None
    segments: dict[str, float] = msgspec.field(default_factory=dict)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    watermark: int = 0
    positions: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Newest position folded, by partition of the interactions that the signals came from."""
    horizons: list[float | None] = msgspec.field(default_factory=lambda: [None] * len(HORIZON_RATES))
    cohorts: list[float | None] = msgspec.field(default_factory=lambda: [None] * COHORTS)
    rating_sum: float = 0.0
    rating_count: int = 0
    first_at: int = 0


class Signal(msgspec.Struct, frozen=True, gc=False):
    """What one interaction meant for its item."""

    item_id: str
    position: Position
    """Where the interaction stood."""
    occurred_at: int
    action: Action
    weight: float
    rating: float | None = None
    segment: str = ""
    nth: int = 0
    """Interactions of the user before this one."""


def told(signals: Sequence[Signal]) -> ItemSignals:
    """Return signals of one item, from one partition and in its order, as they are published."""
    offsets, timestamps = zip(*((one.position.offset, one.position.append_ms) for one in signals), strict=True)
    return ItemSignals(
        item_id=signals[0].item_id,
        source_partition=signals[0].position.partition,
        source_offsets=list(offsets),
        source_timestamps=list(timestamps),
        occurred_at=[one.occurred_at for one in signals],
        actions=[one.action for one in signals],
        weights=[one.weight for one in signals],
        ratings=[one.rating for one in signals],
        segments=[one.segment for one in signals],
        nths=[one.nth for one in signals],
    )


def heard(signals: ItemSignals) -> Iterator[Signal]:
    """Yield published signals one by one."""
    columns = (signals.occurred_at, signals.actions, signals.weights, signals.ratings, signals.segments, signals.nths)
    places = zip(signals.source_offsets, signals.source_timestamps, strict=True)
    for (offset, append_ms), *values in zip(places, *columns, strict=True):
        yield Signal(signals.item_id, Position(signals.source_partition, offset, append_ms), *values)


def fold(state: ItemState, signal: Signal, *, params: SignalParams) -> bool:
    """Fold one signal into its item's state; return False for a repeat, which changes nothing.

    Each source partition is folded in its order, so one position per partition tells every repeat.
    """
    position = signal.position
    last = state.positions.get(position.partition)
    if position.repeats(last):
        return False
    state.positions[position.partition] = position.after(last)
    state.counts[signal.action] = state.counts.get(signal.action, 0) + 1
    state.watermark = max(state.watermark, signal.occurred_at)
    state.first_at = min(state.first_at or signal.occurred_at, signal.occurred_at)
    if signal.rating is not None:
        state.rating_sum += signal.rating
        state.rating_count += 1
    if signal.weight > 0:
        _count(state, signal, params)
    return True


def _count(state: ItemState, signal: Signal, params: SignalParams) -> None:
    log_weight, at_ms = math.log(signal.weight), signal.occurred_at
    lasting, cohort = log_weight + params.popularity_rate * at_ms, cohort_of(signal.nth)
    state.horizons = [
        _add(log_sum, log_weight + rate * at_ms) for log_sum, rate in zip(state.horizons, HORIZON_RATES, strict=True)
    ]
    state.cohorts[cohort] = _add(state.cohorts[cohort], lasting)
    state.trending = _add(state.trending, log_weight + params.trending_rate * at_ms)
    state.popularity = _add(state.popularity, lasting)
    if signal.segment:
        state.segments[signal.segment] = _add(state.segments.get(signal.segment), lasting)


def stats(state: ItemState) -> ItemStats:
    """Return what is told of the item to everyone who ranks."""
    return ItemStats(
        item_id=state.item_id,
        trending=_log(state.trending),
        popularity=_log(state.popularity),
        segments=state.segments,
        counts=state.counts,
        watermark=state.watermark,
        horizons=[_log(log_sum) for log_sum in state.horizons],
        cohorts=[_log(log_sum) for log_sum in state.cohorts],
        rating_sum=state.rating_sum,
        rating_count=state.rating_count,
        first_at=state.first_at,
    )


def cohort_of(events: int) -> int:
    """Return the cohort of a user who has so many interactions: newcomers choose otherwise than old hands."""
    return bisect_right(_COHORT_BOUNDS, events)


def _log(log_sum: float | None) -> float:
    return decay.EMPTY if log_sum is None else log_sum


def _add(log_sum: float | None, term: float) -> float:
    return term if log_sum is None else decay.plus(log_sum, term)
