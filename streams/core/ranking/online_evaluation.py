"""Online evaluation: each positive action is held against the feed that the user had by then.

HR@10 and NDCG@10 of one relevant item, as `evaluation/metrics/accuracy.py` defines them, on feeds as they were served.
A visit is one outcome: an item that the user opens keeps the rank that it had then, and all actions on it within half
an hour count once.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from domain.timestamp import MINUTE_MS
from models.blend.fallback import LISTED, gain
from models.weight import is_positive
from schemas.types import Features, Feed, RecentItem

VISIT_MS = 30 * MINUTE_MS
"""Time after the opening of an item within which an action on it is attributed to that choice."""
USERS = 50_000
"""Users whose last lists are in memory; those ranked longest ago go first."""
_VISITS = 10
"""Visits in memory per user."""
_COUNTED = -1


@dataclass(slots=True)
class OnlineFigures:
    """Figures of an interval, to be added up."""

    outcomes: int = 0
    hits: int = 0
    gain: float = 0.0
    """Sum of 1 / log2(1 + rank) over the hits."""
    items: set[str] = field(default_factory=set)
    """Items among the first ten of any feed."""


@dataclass(slots=True)
class _ServedList:
    """The heads of the orders of a user's last feed."""

    watermark: int
    orders: tuple[tuple[int, tuple[str, ...]], ...]
    """The time since the watermark from which each order is shown, in ms, and its first items."""
    visits: OrderedDict[str, tuple[int, int]]
    """Time and rank from 0 of the first action of each visit, by item; `_COUNTED` once it was an outcome."""

    def rank(self, action: RecentItem) -> int:
        """Return the rank of an item, from 0, in the order shown at the time of an action; 10 beyond the list."""
        away_ms = action.at - self.watermark
        items = next(items for from_ms, items in reversed(self.orders) if from_ms <= away_ms)
        return items.index(action.item_id) if action.item_id in items else LISTED


class OnlineEvaluation:
    """Judges the feeds of the users of one process."""

    def __init__(self, *, interval_ms: int, users: int = USERS) -> None:
        """Start without any feed.

        Args:
            interval_ms: Length of the intervals by which figures are added up, in ms.
            users: Number of users whose last lists are kept.
        """
        self._interval_ms, self._users = interval_ms, users
        self._lists: OrderedDict[str, _ServedList] = OrderedDict()
        self._figures: defaultdict[int, OnlineFigures] = defaultdict(OnlineFigures)

    def add(self, feed: Feed, features: Features) -> None:
        """Judge the feed before this one by the actions since, then take this one in its place.

        Args:
            feed: The user's new feed.
            features: The features that it was ranked by.
        """
        served_list = self._lists.pop(feed.user_id, None)
        visits: OrderedDict[str, tuple[int, int]] = OrderedDict()
        if served_list is not None:
            visits = served_list.visits
            for action in reversed(features.recent):
                if action.at > served_list.watermark:
                    self._judge(served_list, action)
        self._lists[feed.user_id] = _ServedList(feed.watermark, _heads(feed), visits)
        self._figures[feed.generated_at // self._interval_ms].items.update(feed.items[:LISTED])
        if len(self._lists) > self._users:
            self._lists.popitem(last=False)

    def forget(self) -> None:
        """Forget the feeds: after a rebalance another process ranks their users. The figures stay."""
        self._lists.clear()

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

    def _judge(self, served_list: _ServedList, action: RecentItem) -> None:
        at_ms, rank = served_list.visits.pop(action.item_id, (0, 0))
        if action.at - at_ms > VISIT_MS:
            at_ms = action.at
            rank = served_list.rank(action)
        if is_positive(action.weight) and rank != _COUNTED:
            figures = self._figures[action.at // self._interval_ms]
            figures.outcomes += 1
            if rank < LISTED:
                figures.hits += 1
                figures.gain += float(gain(np.array(rank + 1)))
            rank = _COUNTED
        served_list.visits[action.item_id] = at_ms, rank
        if len(served_list.visits) > _VISITS:
            served_list.visits.popitem(last=False)


def _heads(feed: Feed) -> tuple[tuple[int, tuple[str, ...]], ...]:
    items = [*feed.items, *(feed.others.items if feed.others else ())]
    later = ((one.from_ms, tuple(items[index] for index in one.indices[:LISTED])) for one in feed.orders)
    return (0, tuple(feed.items[:LISTED])), *later
