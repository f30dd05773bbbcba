"""An item's state, and the fold of item signals into it: trending, popularity, counts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

import msgspec

from domain.timestamp import DAY_MS, HOUR_MS
from models import decay
from models.weight import signed_counts
from schemas.types import Action, ItemSignals, ItemStats
from streams.core.byte_budget import size
from streams.core.params import SignalParams
from streams.core.position import Position, new_records

HORIZON_RATES = tuple(decay.rate_of_half_life(days) for days in (1.0, 7.0, math.inf, 90.0))
"""Decay rates of the fixed horizons of popularity, besides the two that are settings. New ones are added at the end."""
HOURS, WEEKDAYS = 24, 7
"""Number of hours of a day and of days of a week with a sum of their own."""
_COHORT_BOUNDS = (1, 5, 15, 40, 100)
_EARLIEST = 3
"""Number of earliest times that date an item: a single wrong clock is not trusted."""
COHORTS = len(_COHORT_BOUNDS) + 1
SEGMENTS = 64
"""Number of demographic groups with a popularity of their own, per item and in the catalog snapshot: the strongest
ones."""
_TIMES_HALF_LIFE_DAYS = 90.0
"""Half-life of the sums by hour and weekday, in days."""
_SIGNALS, _SIGNAL_BYTES, _RECORD_BYTES = 1_000, 64, 512 << 10
"""Maximum signals per record, bytes of one signal besides its segment, and bytes of a record."""

_Row = tuple[int, Action, float, float | None, str, int]
"""Time, action, weight, rating, segment and user event index of a signal."""


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """The state of one item. New fields are added at the end, with a default."""

    item_id: str
    trending: float | None = None
    """Natural logarithm of the decayed sum; None for an empty sum."""
    popularity: float | None = None
    segments: dict[str, float] = msgspec.field(default_factory=dict)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    watermark: int = 0
    positions: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Newest position folded, by source partition of the interactions."""
    horizons: list[float | None] = msgspec.field(default_factory=lambda: [None] * len(HORIZON_RATES))
    cohorts: list[float | None] = msgspec.field(default_factory=lambda: [None] * COHORTS)
    rating_sum: float = 0.0
    rating_count: int = 0
    first_at: int = 0
    earliest: list[int] = msgspec.field(default_factory=list)
    hours: list[float] = msgspec.field(default_factory=lambda: [0.0] * HOURS)
    """Weights by hour of the day, decayed to the watermark; the same for `weekdays`."""
    weekdays: list[float] = msgspec.field(default_factory=lambda: [0.0] * WEEKDAYS)
    evidence_for: float | None = None
    """Sum of the positive evidence; None before any is counted. The same for `evidence_against`."""
    evidence_against: float | None = None


class ItemSignal(msgspec.Struct, frozen=True, gc=False):
    """The effect of one interaction on its item."""

    item_id: str
    position: Position
    """The position of the interaction."""
    occurred_at: int
    action: Action
    weight: float
    """The weight that the user's action adds for the item; 0 for a repetition of an action that already counts."""
    rating: float | None = None
    segment: str = ""
    user_event_index: int = 0
    """Number of the user's interactions before this one."""
    limit: str = ""
    """The user's daily limit that removes most or all of the weight; empty for none."""
    evidence: float = 0.0
    """Evidence of the action for the item (positive) or against it, from -1 to 1: a user counts once a day for each."""


def to_record(signals: Sequence[ItemSignal]) -> ItemSignals:
    """Return signals of one item from one partition, in its order, as a record."""
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
        nths=[one.user_event_index for one in signals],
        evidence=[one.evidence for one in signals],
    )


def to_records(signals: Sequence[ItemSignal]) -> Iterator[ItemSignals]:
    """Yield signals of one item from one partition, in its order, as records bounded in bytes."""
    longest = max(size(one.segment) for one in signals)
    most = min(_SIGNALS, _RECORD_BYTES // (_SIGNAL_BYTES + longest))
    for start in range(0, len(signals), most):
        yield to_record(signals[start : start + most])


def fold(
    state: ItemState, signals: ItemSignals, *, params: SignalParams, evictions: Counter[str] | None = None
) -> bool:
    """Fold signals into their item's state; return False if all are repeats, which change nothing.

    Each source partition is folded in its order, so one position per partition identifies every repeat. `evictions`
    counts segments evicted in favour of stronger ones.
    """
    partition = signals.source_partition
    indices, position = new_records(state.positions.get(partition), signals.source_offsets, signals.source_timestamps)
    if not indices or position is None:
        return False
    state.positions[partition] = position
    columns = (signals.occurred_at, signals.actions, signals.weights, signals.ratings, signals.segments, signals.nths)
    rows = list(zip(*columns, strict=True))
    if len(indices) < len(rows):
        rows = [rows[index] for index in indices]
    times_ms, actions, weights, ratings, _, _ = zip(*rows, strict=True)
    _count_evidence(state, [signals.evidence[index] for index in indices] if signals.evidence else ())
    for action in actions:
        state.counts[action] = state.counts.get(action, 0) + 1
    _count_times(state, times_ms, weights)
    state.watermark = max(state.watermark, *times_ms)
    if len(state.earliest) < _EARLIEST or min(times_ms) < state.first_at:
        _date(state, [at_ms for at_ms, weight in zip(times_ms, weights, strict=True) if weight > 0])
    known_ratings = [rating for rating in ratings if rating is not None]
    if known_ratings:
        state.rating_sum += sum(known_ratings)
        state.rating_count += len(known_ratings)
    _count(state, rows, params)
    weakest = len(state.segments) - SEGMENTS
    if weakest > 0:
        for segment in sorted(state.segments, key=lambda name: (state.segments[name], name))[:weakest]:
            del state.segments[segment]
        if evictions is not None:
            evictions["segments"] += weakest
    return True


def _count_evidence(state: ItemState, evidence: Iterable[float]) -> None:
    """Add to the evidence, which begins with the number of actions so far, as it was before it had sums of its own."""
    if state.evidence_for is None or state.evidence_against is None:
        state.evidence_for, state.evidence_against = map(float, signed_counts(state.counts))
    for value in evidence:
        state.evidence_for += max(value, 0.0)
        state.evidence_against += max(-value, 0.0)


def _date(state: ItemState, times_ms: Sequence[int]) -> None:
    """Move the time of the item's first interaction to the third of the earliest times, or the last of fewer."""
    times = state.earliest or ([state.first_at] if state.first_at else [])
    state.earliest = sorted((*times, *times_ms))[:_EARLIEST]
    state.first_at = state.earliest[-1] if state.earliest else 0


def _count_times(state: ItemState, times_ms: Sequence[int], weights: Sequence[float]) -> None:
    """Add the positive weights to the sums of their hours and weekdays, as of the newest time."""
    newest_ms = max(state.watermark, *times_ms)
    factor = _time_factor(state.watermark - newest_ms)
    state.hours, state.weekdays = [hour * factor for hour in state.hours], [day * factor for day in state.weekdays]
    for at_ms, weight in zip(times_ms, weights, strict=True):
        if weight > 0:
            amount = weight * _time_factor(at_ms - newest_ms)
            state.hours[at_ms // HOUR_MS % HOURS] += amount
            state.weekdays[at_ms // DAY_MS % WEEKDAYS] += amount


def _time_factor(elapsed_ms: int) -> float:
    return decay.factor(elapsed_ms / (_TIMES_HALF_LIFE_DAYS * DAY_MS))


def _count(state: ItemState, rows: Iterable[_Row], params: SignalParams) -> None:
    """Add the signals with a positive weight to the sums."""
    likes = [
        (math.log(weight), at_ms, segment, user_event_index)
        for at_ms, _, weight, _, segment, user_event_index in rows
        if weight > 0
    ]
    if not likes:
        return

    def grown(rate: float) -> list[float]:
        return [log_weight + rate * at_ms for log_weight, at_ms, _, _ in likes]

    sums = zip_longest(state.horizons, HORIZON_RATES)  # a state from before a horizon was added is shorter
    state.horizons = [_added(log_sum, grown(rate)) for log_sum, rate in sums]
    state.trending = _added(state.trending, grown(params.trending_rate))
    lasting = grown(params.popularity_rate)
    state.popularity = _added(state.popularity, lasting)
    for (_, _, segment, user_event_index), term in zip(likes, lasting, strict=True):
        cohort = cohort_of(user_event_index)
        state.cohorts[cohort] = _added(state.cohorts[cohort], (term,))
        if segment:
            state.segments[segment] = _added(state.segments.get(segment), (term,))


def stats(state: ItemState) -> ItemStats:
    """Return the published statistics of the item."""
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
        hours=state.hours,
        weekdays=state.weekdays,
        evidence_for=state.evidence_for,
        evidence_against=state.evidence_against,
    )


def cohort_of(events: int) -> int:
    """Return the cohort of a user by number of interactions: newcomers choose otherwise than experienced users."""
    return bisect_right(_COHORT_BOUNDS, events)


def _log(log_sum: float | None) -> float:
    return decay.EMPTY if log_sum is None else log_sum


def _added(log_sum: float | None, terms: Sequence[float]) -> float:
    """Return the logarithm of a sum plus more terms, all given as logarithms."""
    if len(terms) == 1:
        return terms[0] if log_sum is None else decay.add_log(log_sum, terms[0])
    high = max(terms) if log_sum is None else max(log_sum, *terms)
    rest = 0.0 if log_sum is None else math.exp(log_sum - high)
    return high + math.log(rest + sum([math.exp(term - high) for term in terms]))
