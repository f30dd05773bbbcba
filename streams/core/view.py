"""What every worker knows of all items: the catalogue, how items are doing, and what goes with what.

Items are numbered as they are first heard of; columns are arrays over those numbers. The charts that ranking starts
from are drawn anew by `refresh`, never while a user is being ranked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import decay
from models.cooccurrence import HALF_LIFE_DAYS, Table
from models.links import Links
from models.names import NOWHERE, Names
from schemas.types import Item, ItemNeighbors, ItemStats, ItemWeights
from streams.core.repeat import fingerprint
from streams.core.signal import COHORTS, HORIZON_RATES

Indices = NDArray[np.int32]
Scores = NDArray[np.float64]
Column = NDArray[np.float32]

TOPICS_PER_ITEM = 8
_GROWTH = 1_024
_DIGITS = 9
SMALL = 1e-3
"""The share of the strongest from which on a signal is heard."""
_PRIOR_RATINGS = 5.0
_OLD_DAYS = 3_650.0


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

    count: int
    """Items that there were."""
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


class Columns:
    """What is scored from items alone, as of the last refresh: (items,) each, 0 where nothing speaks for one."""

    def __init__(self, view: View) -> None:
        self.count = count = len(view.items)
        self.listed = np.flatnonzero(view.listed[:count]).astype(np.int32)
        self.trending = strength(view.trending[:count])
        self.day, self.week, self.lasting = (strength(column) for column in view.horizons[:count].T)
        self.popular = strength(view.popularity[:count])
        counts, sums = view.rating_counts[:count], view.rating_sums[:count]
        mean = sums.sum() / max(counts.sum(), 1.0)
        self.rated = ((sums + _PRIOR_RATINGS * mean) / (counts + _PRIOR_RATINGS) - mean).astype(np.float32)
        age_ms = view.watermark - np.where(view.first_at > 0, view.first_at, view.created_at)[:count]
        days = np.maximum(age_ms, 0.0) / decay.DAY_MS
        self.fresh = (1.0 - np.minimum(np.log1p(days) / np.log1p(_OLD_DAYS), 1.0)).astype(np.float32)
        self._view, self._cohorts, self._segments = view, dict[int, Column](), dict[str, Column]()

    def cohort(self, cohort: int) -> Column:
        """Return popularity among users of a cohort."""
        if cohort not in self._cohorts:
            self._cohorts[cohort] = strength(self._view.cohorts[: self.count, cohort])
        return self._cohorts[cohort]

    def segment(self, segment: str) -> Column | None:
        """Return popularity with a demographic group, if any of it was ever heard of."""
        if segment not in self._segments and segment in self._view.segments:
            self._segments[segment] = strength(self._view.segments[segment][: self.count])
        return self._segments.get(segment)


def strength(logs: Scores) -> Column:
    """Return how strong sums are against the strongest, given their logarithms: 0 for nothing, 6.9 for the strongest.

    It is ln(1 + share / 0.001): a logarithm that ends at nothing, since a part that does not speak must not count.
    """
    high = logs.max(initial=-np.inf)
    if not np.isfinite(high):
        return np.zeros(len(logs), np.float32)
    return np.asarray(np.log1p(np.exp((logs - high).astype(np.float32)) / np.float32(SMALL)))


class View:
    """Columns over all items. Only items of the catalogue are ever ranked."""

    def __init__(self, *, leaders: int = 200, half_life_days: float = HALF_LIFE_DAYS) -> None:
        self._leaders = leaders
        self.items = Names()
        self.categories = Names()
        self.topics = Names()
        self.titles: list[str] = []
        self.subjects: dict[str, Subject] = {}
        self.category = np.full(_GROWTH, NOWHERE, np.int32)
        self.item_topics = np.full((_GROWTH, TOPICS_PER_ITEM), NOWHERE, np.int32)
        self.created_at = np.zeros(_GROWTH, np.int64)
        self.ties = np.zeros(_GROWTH, np.int64)
        """Decides between equal scores: a hash of the id, so that it depends on nothing else."""
        self.listed = np.zeros(_GROWTH, bool)
        self.trending = np.full(_GROWTH, -np.inf)
        self.popularity = np.full(_GROWTH, -np.inf)
        self.segments: dict[str, Scores] = {}
        self.horizons = np.full((_GROWTH, len(HORIZON_RATES)), -np.inf)
        self.cohorts = np.full((_GROWTH, COHORTS), -np.inf)
        self.rating_sums = np.zeros(_GROWTH)
        self.rating_counts = np.zeros(_GROWTH)
        self.first_at = np.zeros(_GROWTH)
        self.neighbors = Table(half_life_days=half_life_days)
        self.tastes = Links(1)
        self.watermark = 0
        self.stale = False
        """Whether anything changed since the last refresh."""
        self.scratch = np.zeros(_GROWTH, bool)
        """All False between uses; lent to whoever needs a set of items."""
        self.charts = self._draw()
        self.columns = Columns(self)

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
        if stats.horizons:
            self.horizons[index] = stats.horizons
        if stats.cohorts:
            self.cohorts[index] = stats.cohorts
        self.rating_sums[index], self.rating_counts[index] = stats.rating_sum, stats.rating_count
        self.first_at[index] = stats.first_at
        self.watermark = max(self.watermark, stats.watermark)
        self.stale = True

    def apply_neighbors(self, row: ItemNeighbors) -> None:
        """Take over what goes with an item."""
        others = self._indices(row.neighbors)
        sums = np.array([row.scores, row.follows or [0.0] * len(row.scores)])
        index = self._index(row.item_id)
        self.neighbors.put(index, others, sums, mass=row.mass, reference_ms=row.reference)

    def apply_weights(self, row: ItemWeights) -> None:
        """Take over what a liking of an item says of others."""
        others = self._indices(row.others)
        self.tastes.put(self._index(row.item_id), others, np.array([row.weights]), 1.0)

    def refresh(self) -> bool:
        """Draw the charts anew if anything changed; return whether it did."""
        if not self.stale:
            return False
        self.charts = self._draw()
        self.refresh_columns()
        self.stale = False
        return True

    def refresh_columns(self) -> None:
        """Draw anew what is scored from items alone."""
        self.columns = Columns(self)

    def subject(self, item_id: str | None) -> Subject | None:
        """Return what the catalogue says of an item, if it is or was in it."""
        return self.subjects.get(item_id) if item_id is not None else None

    def indices(self, item_ids: Iterable[str]) -> Indices:
        """Return the numbers of those ids that are known."""
        return self.items.known(item_ids)

    def popular_rest(self) -> Indices:
        """Return the whole catalogue, most popular first, items nobody acted on last."""
        listed = np.flatnonzero(self.listed[: self.charts.count]).astype(np.int32)
        return listed[np.lexsort((self.ties[listed], -self.popularity[listed]))]

    def _draw(self) -> Charts:
        count = len(self.items)
        listed = np.flatnonzero(self.listed[:count]).astype(np.int32)
        popular_in: dict[str, Indices] = {}
        trending_in: dict[str, Indices] = {}
        by_category = np.zeros(count)
        for code in np.unique(self.category[listed]).tolist():
            items, name = listed[self.category[listed] == code], self.categories.names[code]
            chart = self._chart(items, self.popularity)
            popular_in[name] = chart.leaders
            trending_in[name] = self._chart(items, self.trending).leaders
            by_category += chart.scores
        return Charts(
            count=count,
            trending=self._chart(listed, self.trending),
            popular=self._chart(listed, self.popularity),
            fresh=self._newest(listed),
            popular_in=popular_in,
            trending_in=trending_in,
            by_category=by_category,
            segments={name: self._chart(listed, column) for name, column in self.segments.items()},
        )

    def _chart(self, items: Indices, column: Scores) -> Chart:
        """Rank some items by a column of logarithms; a score is the square root of the share of the best."""
        scores = np.zeros(len(self.items))
        items = items[np.isfinite(column[items])]
        if not len(items):
            return Chart(NOTHING, scores)
        scores[items] = np.exp((column[items] - column[items].max()) / 2)
        leaders = items[np.lexsort((self.ties[items], -column[items].round(_DIGITS)))][: self._leaders]
        return Chart(leaders, scores)

    def _newest(self, items: Indices) -> Chart:
        """Rank items by age: the score falls to a half at the twentieth."""
        scores = np.zeros(len(self.items))
        newest = items[np.lexsort((self.ties[items], -self.created_at[items]))][: self._leaders]
        scores[newest] = 1.0 / (1.0 + np.arange(len(newest)) / 20.0)
        return Chart(newest, scores)

    def _indices(self, item_ids: Sequence[str]) -> Indices:
        found = self.items.numbers(item_ids)
        for new in np.flatnonzero(found < 0).tolist():
            found[new] = self._index(item_ids[new])
        return found

    def _index(self, item_id: str) -> int:
        index = self.items.add(item_id)
        if index == len(self.titles):
            self.titles.append("")
            if index == len(self.category):
                self._grow()
            self.ties[index] = fingerprint(item_id)
        return index

    def _segment(self, name: str) -> Scores:
        if name not in self.segments:
            self.segments[name] = np.full(len(self.category), -np.inf)
        return self.segments[name]

    def _grow(self) -> None:
        for name in ("category", "item_topics"):
            setattr(self, name, _doubled(getattr(self, name), NOWHERE))
        for name in ("created_at", "ties", "listed", "scratch", "rating_sums", "rating_counts", "first_at"):
            setattr(self, name, _doubled(getattr(self, name), 0))
        for name in ("trending", "popularity", "horizons", "cohorts"):
            setattr(self, name, _doubled(getattr(self, name), -np.inf))
        self.segments = {name: _doubled(column, -np.inf) for name, column in self.segments.items()}


def _doubled(column: NDArray[Any], filler: float) -> NDArray[Any]:
    return np.concatenate([column, np.full_like(column, filler)])
