"""What every worker knows of all items: the catalogue, how items are doing, and what goes with what.

Items are numbered as they are first heard of; columns are arrays over those numbers. Lists that ranking starts from are
made anew by `refresh`, never while a user is being ranked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.types import Item, ItemNeighbors, ItemStats

Indices = NDArray[np.int32]
Scores = NDArray[np.float64]

TOPICS_PER_ITEM = 8
_NOWHERE = -1
_GROWTH = 1_024


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of an item that somebody acted on."""

    category: str = ""
    topics: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Leaders:
    """Items of one list, best first, with scores as shares of the best."""

    items: Indices
    scores: Scores
    via: Indices | None = None
    """For each item the liked item that brought it, where there is one."""


NOBODY = Leaders(np.empty(0, np.int32), np.empty(0))


class Names:
    """Numbers for names, given out in the order of first use."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def get(self, name: str) -> int:
        """Return a name's number, or -1."""
        return self._index.get(name, _NOWHERE)

    def add(self, name: str) -> int:
        """Return a name's number, giving it one if it has none."""
        index = self._index.setdefault(name, len(self.names))
        if index == len(self.names):
            self.names.append(name)
        return index


@dataclass(slots=True)
class Lists:
    """What ranking starts from, as of the last refresh."""

    order: Indices = field(default_factory=lambda: np.empty(0, np.int32))
    """Rank of each item among all ids in alphabetical order: the tie-break."""
    trending: Leaders = NOBODY
    popular: Leaders = NOBODY
    fresh: Leaders = NOBODY
    popular_in: dict[str, Leaders] = field(default_factory=dict)
    segment: dict[str, Leaders] = field(default_factory=dict)


class View:
    """Columns over all items. Only items of the catalogue are ever ranked."""

    def __init__(self, *, list_items: int = 200) -> None:
        self._list_items = list_items
        self.items = Names()
        self.categories = Names()
        self.topics = Names()
        self.titles: list[str] = []
        self.subjects: dict[str, Subject] = {}
        self.category = np.full(_GROWTH, _NOWHERE, np.int32)
        self.item_topics = np.full((_GROWTH, TOPICS_PER_ITEM), _NOWHERE, np.int32)
        self.created_at = np.zeros(_GROWTH, np.int64)
        self.listed = np.zeros(_GROWTH, bool)
        self.trending = np.full(_GROWTH, -np.inf)
        self.popularity = np.full(_GROWTH, -np.inf)
        self.segments: dict[str, Scores] = {}
        self.neighbors: list[Leaders | None] = []
        self.watermark = 0
        self.lists = Lists()
        self.stale = False
        """Whether anything changed since the last refresh."""
        self.scratch = np.zeros(_GROWTH, bool)
        """All False between uses; lent to filters."""

    def apply_item(self, item: Item) -> None:
        """Take over an item of the catalogue."""
        index = self._index(item.item_id)
        topics = [self.topics.add(topic) for topic in item.topics[:TOPICS_PER_ITEM]]
        self.category[index] = self.categories.add(item.category)
        self.item_topics[index] = topics + [_NOWHERE] * (TOPICS_PER_ITEM - len(topics))
        self.created_at[index] = item.created_at
        self.titles[index] = item.title
        self.subjects[item.item_id] = Subject(item.category, tuple(item.topics[:TOPICS_PER_ITEM]), item.source)
        self.listed[index] = True
        self.stale = True

    def remove_item(self, item_id: str) -> None:
        """Take an item off the catalogue; what is known of its past stays."""
        index = self.items.get(item_id)
        if index != _NOWHERE:
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
        others = np.fromiter((self._index(other) for other in row.neighbors), np.int32, len(row.neighbors))
        self.neighbors[index] = Leaders(others, np.array(row.scores, np.float64))

    def refresh(self) -> bool:
        """Make the lists anew if anything changed; return whether it did."""
        if not self.stale:
            return False
        count = len(self.items)
        order = self.lists.order if len(self.lists.order) == count else self._alphabetical()
        listed = np.flatnonzero(self.listed[:count]).astype(np.int32)
        by_category = {
            self.categories.names[code]: listed[self.category[listed] == code]
            for code in np.unique(self.category[listed])
        }
        self.lists = Lists(
            order=order,
            trending=self._leaders(listed, self.trending, order),
            popular=self._leaders(listed, self.popularity, order),
            fresh=self._fresh(listed, order),
            popular_in={name: self._leaders(items, self.popularity, order) for name, items in by_category.items()},
            segment={name: self._leaders(listed, column, order) for name, column in self.segments.items()},
        )
        self.stale = False
        return True

    def subject(self, item_id: str | None) -> Subject | None:
        """Return what the catalogue says of an item, if it is or was in it."""
        return self.subjects.get(item_id) if item_id is not None else None

    def indices(self, item_ids: Iterable[str]) -> Indices:
        """Return the numbers of those ids that are known."""
        known = (self.items.get(item_id) for item_id in item_ids)
        return np.array([index for index in known if index != _NOWHERE], np.int32)

    def popular_rest(self) -> Indices:
        """Return the whole catalogue, most popular first, items nobody acted on last."""
        listed = np.flatnonzero(self.listed[: len(self.items)]).astype(np.int32)
        known = listed[listed < len(self.lists.order)]
        return known[np.lexsort((self.lists.order[known], -self.popularity[known]))]

    def _alphabetical(self) -> Indices:
        names = self.items.names
        order = np.empty(len(names), np.int32)
        order[np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)] = np.arange(len(names))
        return order

    def _leaders(self, items: Indices, column: Scores, order: Indices) -> Leaders:
        """Return the best of some items by a column of logarithms, scored by the square root of their share."""
        items = items[np.isfinite(column[items])]
        if not len(items):
            return NOBODY
        best = items[np.lexsort((order[items], -column[items].round(9)))][: self._list_items]
        return Leaders(best, np.exp((column[best] - column[best[0]]) / 2))

    def _fresh(self, items: Indices, order: Indices) -> Leaders:
        newest = items[np.lexsort((order[items], -self.created_at[items]))][: self._list_items]
        return Leaders(newest, 1.0 / (1.0 + np.arange(len(newest)) / 20.0))

    def _index(self, item_id: str) -> int:
        index = self.items.add(item_id)
        if index == len(self.titles):
            self.titles.append("")
            self.neighbors.append(None)
            if index == len(self.category):
                self._grow()
        return index

    def _segment(self, name: str) -> Scores:
        if name not in self.segments:
            self.segments[name] = np.full(len(self.category), -np.inf)
        return self.segments[name]

    def _grow(self) -> None:
        more = len(self.category)
        self.category = np.concatenate([self.category, np.full(more, _NOWHERE, np.int32)])
        self.item_topics = np.concatenate([self.item_topics, np.full((more, TOPICS_PER_ITEM), _NOWHERE, np.int32)])
        self.created_at = np.concatenate([self.created_at, np.zeros(more, np.int64)])
        self.listed = np.concatenate([self.listed, np.zeros(more, bool)])
        self.scratch = np.concatenate([self.scratch, np.zeros(more, bool)])
        self.trending = np.concatenate([self.trending, np.full(more, -np.inf)])
        self.popularity = np.concatenate([self.popularity, np.full(more, -np.inf)])
        self.segments = {
            name: np.concatenate([column, np.full(more, -np.inf)]) for name, column in self.segments.items()
        }
