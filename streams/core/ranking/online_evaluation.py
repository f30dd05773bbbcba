"""Online evaluation: each outcome is held against the feed that its user had by then.

HR@10 and NDCG@10 of one relevant item, as `evaluation/metrics/accuracy.py` defines them, on feeds as they were served.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from models.blend.fallback import LISTED, gain
from schemas.types import Feed
from streams.core.ranking.served_feeds import FeedChoice


@dataclass(slots=True)
class OnlineFigures:
    """Figures of an interval, to be added up."""

    outcomes: int = 0
    hits: int = 0
    gain: float = 0.0
    """Sum of 1 / log2(1 + rank) over the hits."""
    items: set[str] = field(default_factory=set)
    """Items among the first ten of any feed."""


class OnlineEvaluation:
    """Adds up the figures of the feeds and outcomes of one process."""

    def __init__(self, *, interval_ms: int) -> None:
        """Start without any figures.

        Args:
            interval_ms: Length of the intervals by which figures are added up, in ms.
        """
        self._interval_ms = interval_ms
        self._figures: defaultdict[int, OnlineFigures] = defaultdict(OnlineFigures)
        self.totals = Counter[str]()
        """Sums since the start: outcomes, hits, and the gain of the hits."""

    def show(self, feed: Feed) -> None:
        """Count the items of a feed as shown."""
        self._figures[feed.generated_at // self._interval_ms].items.update(feed.items[:LISTED])

    def add(self, outcome: FeedChoice, *, at_ms: int) -> None:
        """Add an outcome.

        Args:
            outcome: The outcome.
            at_ms: Time of the positive action, in ms since the epoch.
        """
        figures, rank = self._figures[at_ms // self._interval_ms], outcome.rank
        figures.outcomes += 1
        self.totals["outcomes"] += 1
        if rank < LISTED:
            hit_gain = float(gain(np.array(rank + 1)))
            figures.hits += 1
            figures.gain += hit_gain
            self.totals.update({"hits": 1, "gain": hit_gain})

    def drain(self) -> Mapping[int, OnlineFigures]:
        """Return the figures since the last call, by number of the interval, and start from zero."""
        figures, self._figures = self._figures, defaultdict(OnlineFigures)
        return figures

    def put_back(self, figures: Mapping[int, OnlineFigures]) -> None:
        """Add figures that could not be stored to those of the next call of `drain`."""
        for number, one in figures.items():
            sum_of = self._figures[number]
            sum_of.outcomes += one.outcomes
            sum_of.hits += one.hits
            sum_of.gain += one.gain
            sum_of.items |= one.items
