"""An item's state and how signals fold into it: trending, popularity, counts."""

from __future__ import annotations

import msgspec

from models import decay
from schemas.types import ItemSignal, ItemStats
from streams.core.params import SignalParams
from streams.core.position import Position


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


def fold(state: ItemState, signal: ItemSignal, *, params: SignalParams) -> bool:
    """Fold one signal into its item's state; return False for a repeat, which changes nothing.

    Each source partition is folded in its order, so one position per partition tells every repeat.
    """
    position = Position(signal.source_partition, signal.source_offset, signal.source_timestamp)
    last = state.positions.get(signal.source_partition)
    if position.repeats(last):
        return False
    state.positions[signal.source_partition] = position.after(last)
    state.counts[signal.action] = state.counts.get(signal.action, 0) + 1
    state.watermark = max(state.watermark, signal.occurred_at)
    if signal.weight > 0:
        state.trending = _add(state.trending, signal, params.trending_rate)
        state.popularity = _add(state.popularity, signal, params.popularity_rate)
        if signal.segment:
            state.segments[signal.segment] = _add(state.segments.get(signal.segment), signal, params.popularity_rate)
    return True


def stats(state: ItemState) -> ItemStats:
    """Return what is told of the item to everyone who ranks."""
    return ItemStats(
        item_id=state.item_id,
        trending=decay.EMPTY if state.trending is None else state.trending,
        popularity=decay.EMPTY if state.popularity is None else state.popularity,
        segments=state.segments,
        counts=state.counts,
        watermark=state.watermark,
    )


def _add(log_sum: float | None, signal: ItemSignal, rate: float) -> float:
    known = decay.EMPTY if log_sum is None else log_sum
    return decay.add(known, signal.weight, at_ms=signal.occurred_at, rate=rate)
