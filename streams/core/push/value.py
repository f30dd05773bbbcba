"""Push value of a new item: its lead in a feed, relative to the usual lead in the user's feeds.

Scores have no unit, and blended scores shift and stretch as the weights are learned. A lead is therefore measured
within one feed, as a robust z-score: (score - median) / (upper - lower quartile). The contribution of the `prefetched`
feature is excluded: all prefetched items share it, which would split a feed in two. The baseline is the mean lead of
the best item that is not new, over the user's last feeds since the first event. The value of an item is its lead
divided by the baseline: 1 for an item as far ahead as the leader of an ordinary feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.types import Feed

MAX_TOP_ITEMS = 10
"""Number of top items of a feed, by their own scores, that are considered for a push."""

_FIRST_FEEDS = 3
"""Number of feeds after which the baseline is valid."""
_LAST_FEEDS = 20
"""Length of the running mean in feeds; older ones have less and less weight."""
_FETCHED = "prefetched"


class TopItem(NamedTuple):
    """One of the leading items of a feed."""

    item_id: str
    lead: float
    reason: str


def top_items(feed: Feed) -> list[TopItem]:
    """Return the leading items of a feed, largest lead first, without trailing items."""
    end = len(feed.items) - feed.trailing
    prefetch_scores = feed.parts.get(_FETCHED) or [0.0] * len(feed.items)
    ahead = robust_z_scores([score - part for score, part in zip(feed.scores[:end], prefetch_scores, strict=False)])
    return sorted(map(TopItem, feed.items, ahead, feed.reasons), key=lambda one: -one.lead)[:MAX_TOP_ITEMS]


def robust_z_scores(scores: Sequence[float]) -> list[float]:
    """Return the distance of each score from the median, in interquartile ranges; 0 for all without spread."""
    sorted_scores, count = sorted(scores), len(scores)
    spread = sorted_scores[3 * count // 4] - sorted_scores[count // 4] if count else 0.0
    if not spread > 0:
        return [0.0] * count
    return [(score - sorted_scores[count // 2]) / spread for score in scores]


class BaselineLead(msgspec.Struct, array_like=True, gc=False):
    """The mean lead of the best item in a user's feeds."""

    feeds: int = 0
    lead: float = 0.0

    def fold(self, lead: float) -> None:
        """Fold the best lead of one more feed."""
        self.feeds += 1
        self.lead += (lead - self.lead) / min(self.feeds, _LAST_FEEDS)

    def value(self, lead: float) -> float:
        """Return the value of a lead; 0 before the baseline is valid."""
        return lead / self.lead if self.feeds >= _FIRST_FEEDS and self.lead > 0 else 0.0
