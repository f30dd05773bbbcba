"""Comparison of a feed that was served with one that was ranked again."""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from schemas.types import Feed

_TOLERANCE = 1e-3
"""Difference of scores that their encoding in Redis explains."""


class FeedComparison(msgspec.Struct, frozen=True):
    """Differences between two feeds of a user."""

    is_equal: bool
    """Whether the items, their order and their scores are the same."""
    differing_positions: int
    """Number of positions with another item."""
    largest_score_difference: float
    """Over the positions of both feeds."""
    has_newer_features: bool
    """Whether the user's features have changed since the served feed."""


def compare(served_feed: Feed, new_feed: Feed) -> FeedComparison:
    """Return the differences between two feeds.

    Args:
        served_feed: The feed that was served.
        new_feed: The feed of the same user that was ranked again.

    >>> feed = Feed(user_id="ann", features_version=1, generated_at=0, watermark=0, model="m", items=["a", "b"],
    ...             scores=[0.9, 0.8], sources=["popular"] * 2, reasons=["Popular"] * 2)
    >>> compare(feed, msgspec.structs.replace(feed, items=["a", "c"], features_version=2))
    FeedComparison(is_equal=False, differing_positions=1, largest_score_difference=0.0, has_newer_features=True)
    """
    differing = sum(one != other for one, other in zip_longest(served_feed.items, new_feed.items))
    gaps = [abs(one - other) for one, other in zip(served_feed.scores, new_feed.scores, strict=False)]
    largest = max(gaps, default=0.0)
    return FeedComparison(
        is_equal=not differing and largest <= _TOLERANCE,
        differing_positions=differing,
        largest_score_difference=round(largest, 6),
        has_newer_features=new_feed.features_version > served_feed.features_version,
    )
