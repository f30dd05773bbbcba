"""An item's state and how signals fold into it: trending, popularity, counts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from models import decay
from schemas.types import Action, ItemSignals, ItemStats
from streams.core.byte_budget import size
from streams.core.params import SignalParams
from streams.core.position import Position, new_records

HORIZON_RATES = tuple(decay.rate_of_half_life(days) for days in (1.0, 7.0, math.inf))
"""Decay rates of the horizons over which popularity is told besides the two that are settings."""
_COHORT_BOUNDS = (1, 5, 15, 40, 100)
_EARLIEST = 3
"""Times by which an item is dated: one wrong clock is not believed."""
COHORTS = len(_COHORT_BOUNDS) + 1
SEGMENTS = 64
"""Demographic groups that an item's popularity is told by, and that every worker knows: the strongest ones."""
_SIGNALS, _SIGNAL_BYTES, _RECORD_BYTES = 1_000, 64, 512 << 10
"""Most signals in one record, bytes of one besides its segment, and bytes of all."""

_Row = tuple[int, Action, float, float | None, str, int]
"""Time, action, weight, rating, segment and number of a signal."""


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
    earliest: list[int] = msgspec.field(default_factory=list)


class ItemSignal(msgspec.Struct, frozen=True, gc=False):
    """What one interaction meant for its item."""

    item_id: str
    position: Position
    """Where the interaction stood."""
    occurred_at: int
    action: Action
    weight: float
    """What the user's action adds for the item; nothing for more of what already counted."""
    rating: float | None = None
    segment: str = ""
    nth: int = 0
    """Interactions of the user before this one."""
    limit: str = ""
    """The daily limit of the user that takes most or all of the weight away; empty for none."""


def to_record(signals: Sequence[ItemSignal]) -> ItemSignals:
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


def to_records(signals: Sequence[ItemSignal]) -> Iterator[ItemSignals]:
    """Yield signals of one item, from one partition and in its order, as records that are bounded in bytes."""
    longest = max(size(one.segment) for one in signals)
    most = min(_SIGNALS, _RECORD_BYTES // (_SIGNAL_BYTES + longest))
    for start in range(0, len(signals), most):
        yield to_record(signals[start : start + most])


def fold(state: ItemState, signals: ItemSignals, *, params: SignalParams, trimmed: Counter[str] | None = None) -> bool:
    """Fold signals into their item's state; return False where all are repeats, which change nothing.

    Each source partition is folded in its order, so one position per partition tells every repeat. `trimmed` counts
    segments that gave way to stronger ones.
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
    for action in actions:
        state.counts[action] = state.counts.get(action, 0) + 1
    state.watermark = max(state.watermark, *times_ms)
    if len(state.earliest) < _EARLIEST or min(times_ms) < state.first_at:
        _date(state, [at_ms for at_ms, weight in zip(times_ms, weights, strict=True) if weight > 0])
    rated = [rating for rating in ratings if rating is not None]
    if rated:
        state.rating_sum += sum(rated)
        state.rating_count += len(rated)
    _count(state, rows, params)
    weakest = len(state.segments) - SEGMENTS
    if weakest > 0:
        for segment in sorted(state.segments, key=lambda name: (state.segments[name], name))[:weakest]:
            del state.segments[segment]
        if trimmed is not None:
            trimmed["segments"] += weakest
    return True


def _date(state: ItemState, times_ms: Sequence[int]) -> None:
    """Move the time when the item was first acted on to the third of the earliest, or the last of fewer."""
    times = state.earliest or ([state.first_at] if state.first_at else [])
    state.earliest = sorted((*times, *times_ms))[:_EARLIEST]
    state.first_at = state.earliest[-1] if state.earliest else 0


def _count(state: ItemState, rows: Iterable[_Row], params: SignalParams) -> None:
    """Add up what has a weight above zero."""
    liked = [(math.log(weight), at_ms, segment, nth) for at_ms, _, weight, _, segment, nth in rows if weight > 0]
    if not liked:
        return

    def grown(rate: float) -> list[float]:
        return [log_weight + rate * at_ms for log_weight, at_ms, _, _ in liked]

    state.horizons = [_added(log_sum, grown(rate)) for log_sum, rate in zip(state.horizons, HORIZON_RATES, strict=True)]
    state.trending = _added(state.trending, grown(params.trending_rate))
    lasting = grown(params.popularity_rate)
    state.popularity = _added(state.popularity, lasting)
    for (_, _, segment, nth), term in zip(liked, lasting, strict=True):
        cohort = cohort_of(nth)
        state.cohorts[cohort] = _added(state.cohorts[cohort], (term,))
        if segment:
            state.segments[segment] = _added(state.segments.get(segment), (term,))


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


def _added(log_sum: float | None, terms: Sequence[float]) -> float:
    """Return the logarithm of a sum and of more terms, all of them given as logarithms."""
    if len(terms) == 1:
        return terms[0] if log_sum is None else decay.plus(log_sum, terms[0])
    high = max(terms) if log_sum is None else max(log_sum, *terms)
    rest = 0.0 if log_sum is None else math.exp(log_sum - high)
    return high + math.log(rest + sum([math.exp(term - high) for term in terms]))
