"""What makes a new item worth a push: how far it stands out in a feed, against what usually leads the user's feeds.

Scores have no unit, and what a blend adds up shifts and stretches as its weights are learned. So a lead is measured
within one feed, from its middle, in the spread of its middle half: (score - median) / (upper - lower quartile). What an
item scores for having been fetched for the user is left out: all that was fetched has the same of it, which parts a
feed in two. What is usual is the mean lead of the best item that is not new, over the user's last feeds. The value of
an item is its lead as a share of that: 1 for an item as far ahead as the leader of an ordinary feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from schemas.types import Feed

LOOKED_AT = 10
"""Items of a feed, by what they score themselves, of which one may be pushed."""

_FIRST_FEEDS = 3
"""Feeds from which on it is known what is usual."""
_LAST_FEEDS = 20
"""Feeds that the mean goes back over, older ones counting less and less."""
_FETCHED = "prefetched"


class TopItem(NamedTuple):
    """One of the items that lead a feed."""

    item_id: str
    lead: float
    reason: str


def top_items(feed: Feed) -> list[TopItem]:
    """Return the items that lead a feed, furthest ahead first; those that come after all others lead nothing."""
    end = len(feed.items) - feed.trailing
    fetched = feed.parts.get(_FETCHED) or [0.0] * len(feed.items)
    ahead = robust_z_scores([score - part for score, part in zip(feed.scores[:end], fetched, strict=False)])
    return sorted(map(TopItem, feed.items, ahead, feed.reasons), key=lambda one: -one.lead)[:LOOKED_AT]


def robust_z_scores(scores: Sequence[float]) -> list[float]:
    """Return how far each score is ahead of the middle; 0 for all where a feed tells nothing apart."""
    ordered, count = sorted(scores), len(scores)
    spread = ordered[3 * count // 4] - ordered[count // 4] if count else 0.0
    if not spread > 0:
        return [0.0] * count
    return [(score - ordered[count // 2]) / spread for score in scores]


class BaselineLead(msgspec.Struct, array_like=True, gc=False):
    """What usually leads the feeds of a user."""

    feeds: int = 0
    lead: float = 0.0

    def fold(self, lead: float) -> None:
        """Take in the leader of one more feed."""
        self.feeds += 1
        self.lead += (lead - self.lead) / min(self.feeds, _LAST_FEEDS)

    def value(self, lead: float) -> float:
        """Return what a lead is worth; 0 while it is not known what is usual."""
        return lead / self.lead if self.feeds >= _FIRST_FEEDS and self.lead > 0 else 0.0
