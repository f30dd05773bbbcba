"""The order of a feed that is shown at a time: a lookup by the time since the user's last event, and no ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import structs

from schemas.types import Feed, FeedItems, FeedOrder

T = TypeVar("T")


def feed_at(feed: Feed, at_ms: int) -> Feed:
    """Return a feed as it is shown at a time: its columns in the last order whose `from_ms` has passed.

    Args:
        feed: A stored feed.
        at_ms: The time at which the feed is read, in ms since the epoch.

    >>> feed = Feed(user_id="ann", features_version=1, generated_at=0, watermark=0, model="m", items=["a", "b"],
    ...             scores=[0.9, 0.8], sources=["popular"] * 2, reasons=["Popular"] * 2,
    ...             orders=[FeedOrder(from_ms=60_000, indices=[1, 0])])
    >>> feed_at(feed, 59_999).items, feed_at(feed, 60_000).items
    (['a', 'b'], ['b', 'a'])
    """
    away_ms, shown = at_ms - feed.watermark, None
    for order in feed.orders:
        if order.from_ms <= away_ms:
            shown = order
    return feed if shown is None else _in_order(feed, shown, feed.others)


def _in_order(feed: Feed, order: FeedOrder, others: FeedItems | None) -> Feed:
    def column(own: list[T], further: Sequence[T]) -> list[T]:
        values = [*own, *further]
        return [values[index] for index in order.indices]

    none: list[float] = []
    return structs.replace(
        feed,
        items=column(feed.items, others.items if others else ()),
        scores=column(feed.scores, others.scores if others else ()),
        sources=column(feed.sources, others.sources if others else ()),
        reasons=column(feed.reasons, others.reasons if others else ()),
        parts={
            name: column(values, others.parts.get(name, none) if others else ()) for name, values in feed.parts.items()
        },
        ml_scores=column(feed.ml_scores, others.ml_scores if others else ()) if feed.ml_scores else none,
        propensities=none,
        others=None,
        orders=[],
    )
