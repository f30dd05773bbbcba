"""What every worker knows of all items: the catalogue, how items are doing, and what goes with what.

Items are numbered as they are first heard of; columns are arrays over those numbers. The charts that ranking starts
from are drawn anew by `refresh`, never while a user is being ranked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.names import NOWHERE, Names
from schemas.types import Item, ItemNeighbors, ItemStats

Indices = NDArray[np.int32]
Scores = NDArray[np.float64]

TOPICS_PER_ITEM = 8
NEIGHBORS_PER_ITEM = 100
_GROWTH = 1_024
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of an item that somebody acted on."""

    category: str = ""
    topics: tuple[str, ...] = ()
    source: str = ""


NOTHING: Indices = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Chart:
    """One way to rank the whole catalogue."""

    leaders: Indices
    """The best items, best first."""
    scores: Scores
    """Every item's score as a share of the best one's, 0 for those that are not ranked."""


@dataclass(frozen=True, slots=True)
class Charts:
    """What ranking starts from, as of the last refresh. Columns may be shorter than the view's, never longer."""

    order: Indices
    """Rank of each item among all ids in alphabetical order: the tie-break."""
    trending: Chart
    popular: Chart
    fresh: Chart
    popular_in: dict[str, Indices]
    """The most popular items of each category."""
    trending_in: dict[str, Indices]
    """The items of each category that trend most."""
    by_category: Scores
    """Every item's popularity as a share of the most popular one of its category."""
    segments: dict[str, Chart]


class View:
    """Columns over all items. Only items of the catalogue are ever ranked."""

    def __init__(self, *, leaders: int = 200) -> None:
        self._leaders = leaders
        self.items = Names()
        self.categories = Names()
        self.topics = Names()
        self.titles: list[str] = []
        self.subjects: dict[str, Subject] = {}
        self.category = np.full(_GROWTH, NOWHERE, np.int32)
        self.item_topics = np.full((_GROWTH, TOPICS_PER_ITEM), NOWHERE, np.int32)
        self.created_at = np.zeros(_GROWTH, np.int64)
        self.listed = np.zeros(_GROWTH, bool)
        self.trending = np.full(_GROWTH, -np.inf)
        self.popularity = np.full(_GROWTH, -np.inf)
        self.segments: dict[str, Scores] = {}
        self.neighbors = np.full((_GROWTH, NEIGHBORS_PER_ITEM), NOWHERE, np.int32)
        self.neighbor_scores = np.zeros((_GROWTH, NEIGHBORS_PER_ITEM), np.float32)
        self.watermark = 0
        self.stale = False
        """Whether anything changed since the last refresh."""
        self.scratch = np.zeros(_GROWTH, bool)
        """All False between uses; lent to whoever needs a set of items."""
        self.charts = self._draw()

    def apply_item(self, item: Item) -> None:
        """Take over an item of the catalogue."""
        index = self._index(item.item_id)
        topics = [self.topics.add(topic) for topic in item.topics[:TOPICS_PER_ITEM]]
        self.category[index] = self.categories.add(item.category)
        self.item_topics[index] = topics + [NOWHERE] * (TOPICS_PER_ITEM - len(topics))
        self.created_at[index] = item.created_at
        self.titles[index] = item.title
        self.subjects[item.item_id] = Subject(item.category, tuple(item.topics[:TOPICS_PER_ITEM]), item.source)
        self.listed[index] = True
        self.stale = True

    def remove_item(self, item_id: str) -> None:
        """Take an item off the catalogue; what is known of its past stays."""
        index = self.items.get(item_id)
        if index != NOWHERE:
            self.listed[index] = False
            self.stale = True

    def apply_stats(self, stats: ItemStats) -> None:
        """Take over how an item is doing."""
        index = self._index(stats.item_id)
        self.trending[index], self.popularity[index] = stats.trending, stats.popularity
        for segment, popularity in stats.segments.items():
            self._segment(segment)[index] = popularity
        self.watermark = max(self.watermark, stats.watermark)
        self.stale = True

    def apply_neighbors(self, row: ItemNeighbors) -> None:
        """Take over what goes with an item."""
        index = self._index(row.item_id)
        others = [self._index(other) for other in row.neighbors[:NEIGHBORS_PER_ITEM]]
        self.neighbors[index] = others + [NOWHERE] * (NEIGHBORS_PER_ITEM - len(others))
        self.neighbor_scores[index] = 0.0
        self.neighbor_scores[index, : len(others)] = row.scores[: len(others)]

    def refresh(self) -> bool:
        """Draw the charts anew if anything changed; return whether it did."""
        if not self.stale:
            return False
        self.charts = self._draw()
        self.stale = False
        return True

    def subject(self, item_id: str | None) -> Subject | None:
        """Return what the catalogue says of an item, if it is or was in it."""
        return self.subjects.get(item_id) if item_id is not None else None

    def indices(self, item_ids: Iterable[str]) -> Indices:
        """Return the numbers of those ids that are known."""
        return self.items.known(item_ids)

    def popular_rest(self) -> Indices:
        """Return the whole catalogue, most popular first, items nobody acted on last."""
        listed = np.flatnonzero(self.listed[: len(self.charts.order)]).astype(np.int32)
        return listed[np.lexsort((self.charts.order[listed], -self.popularity[listed]))]

    def _draw(self) -> Charts:
        count = len(self.items)
        drawn = getattr(self, "charts", None)
        order = drawn.order if drawn is not None and len(drawn.order) == count else self._alphabetical()
        listed = np.flatnonzero(self.listed[:count]).astype(np.int32)
        popular_in: dict[str, Indices] = {}
        trending_in: dict[str, Indices] = {}
        by_category = np.zeros(count)
        for code in np.unique(self.category[listed]).tolist():
            items, name = listed[self.category[listed] == code], self.categories.names[code]
            chart = self._chart(items, self.popularity, order)
            popular_in[name] = chart.leaders
            trending_in[name] = self._chart(items, self.trending, order).leaders
            by_category += chart.scores
        return Charts(
            order=order,
            trending=self._chart(listed, self.trending, order),
            popular=self._chart(listed, self.popularity, order),
            fresh=self._newest(listed, order),
            popular_in=popular_in,
            trending_in=trending_in,
            by_category=by_category,
            segments={name: self._chart(listed, column, order) for name, column in self.segments.items()},
        )

    def _chart(self, items: Indices, column: Scores, order: Indices) -> Chart:
        """Rank some items by a column of logarithms; a score is the square root of the share of the best."""
        scores = np.zeros(len(order))
        items = items[np.isfinite(column[items])]
        if not len(items):
            return Chart(NOTHING, scores)
        scores[items] = np.exp((column[items] - column[items].max()) / 2)
        leaders = items[np.lexsort((order[items], -column[items].round(_DIGITS)))][: self._leaders]
        return Chart(leaders, scores)

    def _newest(self, items: Indices, order: Indices) -> Chart:
        """Rank items by age: the score falls to a half at the twentieth."""
        scores = np.zeros(len(order))
        newest = items[np.lexsort((order[items], -self.created_at[items]))][: self._leaders]
        scores[newest] = 1.0 / (1.0 + np.arange(len(newest)) / 20.0)
        return Chart(newest, scores)

    def _alphabetical(self) -> Indices:
        names = self.items.names
        order = np.empty(len(names), np.int32)
        order[np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)] = np.arange(len(names))
        return order

    def _index(self, item_id: str) -> int:
        index = self.items.add(item_id)
        if index == len(self.titles):
            self.titles.append("")
            if index == len(self.category):
                self._grow()
        return index

    def _segment(self, name: str) -> Scores:
        if name not in self.segments:
            self.segments[name] = np.full(len(self.category), -np.inf)
        return self.segments[name]

    def _grow(self) -> None:
        for name in ("category", "item_topics", "neighbors"):
            setattr(self, name, _doubled(getattr(self, name), NOWHERE))
        for name in ("created_at", "listed", "scratch", "neighbor_scores"):
            setattr(self, name, _doubled(getattr(self, name), 0))
        for name in ("trending", "popularity"):
            setattr(self, name, _doubled(getattr(self, name), -np.inf))
        self.segments = {name: _doubled(column, -np.inf) for name, column in self.segments.items()}


def _doubled(column: NDArray[Any], filler: float) -> NDArray[Any]:
    return np.concatenate([column, np.full_like(column, filler)])
