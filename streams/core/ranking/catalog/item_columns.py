"""Columns over all items, as ranking reads them: catalog data, and item features that do not depend on the user."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from domain.timestamp import DAY_MS
from models.vocabulary import MISSING

if TYPE_CHECKING:
    from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot

Indices = NDArray[np.int32]
Scores = NDArray[np.float64]
Column = NDArray[np.float32]
Kinds = tuple[int, ...]
"""Numbers of kinds of items."""
Where = slice | Indices
"""A selection of items: all of them, without a copy, or some in ascending order."""

SCORE_DIGITS = 6
"""Scores are rounded before comparison, so that the order of additions cannot turn a tie into an order."""
LOG_SHARE_UNIT = 1e-3
"""Share of the strongest signal below which a signal barely counts."""
_RANK, _ITEMS_PER_RANK = 5, 20
"""The rank of the item whose sum is the reference for the others, and the number of items per rank."""
_MAX_SHARE = np.float32(3.0)
"""The logarithm of the largest ratio to that reference."""
_PRIOR_RATINGS = 5.0
_OLD_DAYS = 3_650.0
NO_ITEMS: Indices = np.empty(0, np.int32)
HORIZONS = ("trending", "day", "week", "popular", "lasting", "slow")
"""Horizons over which interactions with items are counted, from hours to all time."""
GLOBAL_FEATURES = (*HORIZONS, "rated", "fresh")
"""Item features that do not depend on the user: the rows of `ItemColumns.features`."""


def scattered(items: Indices, values: ArrayLike, where: Where, *, count: int) -> Column:
    """Return the column of selected items that has values at some items and 0 elsewhere.

    Args:
        items: (m,) items; the last value of a repeated one counts.
        values: (m,) values, or one for all.
        where: The selected items.
        count: Number of items.

    >>> scattered(np.array([7, 3]), [1.0, 2.0], np.array([2, 3, 9]), count=10).tolist()
    [0.0, 2.0, 0.0]
    """
    if isinstance(where, slice):
        column = np.zeros(count, np.float32)
        column[items] = values
        return column[where]
    column = np.zeros(len(where) + 1, np.float32)
    column[_positions(items, where)] = values
    return column[:-1]


def selected(column: Column, where: Where) -> Column:
    """Return the values of selected items; of all of them without a copy.

    Args:
        column: (items,) values of all items.
        where: The selected items.
    """
    return column[where] if isinstance(where, slice) else column.take(where)


def marked(items: Indices, where: Where, *, count: int) -> NDArray[np.bool_]:
    """Return a mask over selected items that is true at some items.

    Args:
        items: The items.
        where: The selected items.
        count: Number of items.
    """
    if isinstance(where, slice):
        mask = np.zeros(count, bool)
        mask[items] = True
        return mask[where]
    mask = np.zeros(len(where) + 1, bool)
    mask[_positions(items, where)] = True
    return mask[:-1]


def _positions(items: Indices, where: Indices) -> NDArray[np.intp]:
    """Return the position of each item among ascending ones, or their number for none."""
    if not len(where):
        return np.zeros(len(items), np.intp)
    positions = where.searchsorted(items)
    positions[where.take(positions, mode="clip") != items] = len(where)
    return positions


class ListedItems:
    """Catalog data of items, (items,) each; valid until the catalog changes."""

    def __init__(self, catalog: CatalogSnapshot) -> None:
        self.count = count = len(catalog.items)
        self.all_items = np.arange(count, dtype=np.int32)
        self.zeros = np.zeros(count, np.float32)
        self.is_listed = catalog.is_listed[:count].copy()
        self.is_private = catalog.private[:count].copy()
        self.is_sold_out = catalog.sold_out[:count].copy()
        self.has_sold_out = bool(self.is_sold_out.any())
        self.listed_items = np.flatnonzero(self.is_listed).astype(np.int32)
        self.timed_items = np.flatnonzero(catalog.spans[:count, 0]).astype(np.int32)
        """Items with an event time, and their time spans."""
        self.spans = catalog.spans[self.timed_items]
        self.item_types = catalog.item_types[:count].copy()
        self.kinds = catalog.kind[:count].copy()
        listed_kinds = np.unique(self.kinds[self.listed_items]).tolist()
        self.listed_kinds = {number: catalog.kinds.names[number] for number in listed_kinds}
        """The kinds of the listed items, by number."""
        has_category = ~np.isin(catalog.category[:count], (MISSING, catalog.categories.get("")))
        label_counts = has_category + np.count_nonzero(catalog.item_topics[:count] != MISSING, axis=1)
        self.label_weights = np.where(label_counts > 0, 1.0 / np.maximum(label_counts, 1), 0.0)
        """1 over the number of labels of each item, which are its topics and its category; 0 without any."""

    def size(self, where: Where) -> int:
        """Return the number of selected items."""
        return len(self.all_items[where]) if isinstance(where, slice) else len(where)

    def are_of(self, kinds: Kinds, items: Indices) -> NDArray[np.bool_]:
        """Return (items,) whether each item is of one of the kinds; the cost does not depend on the catalog's size.

        Args:
            kinds: Numbers of kinds.
            items: The items.
        """
        return np.isin(self.kinds[items], kinds)

    def zeros_at(self, where: Where) -> Column:
        """Return a 0 for each selected item, as a shared read-only array."""
        return self.zeros[: self.size(where)]


class ItemColumns:
    """Item features that do not depend on the user, as of the last refresh: (items,) each, 0 without evidence."""

    def __init__(self, catalog: CatalogSnapshot, listed_items: ListedItems) -> None:
        """Compute the columns.

        Args:
            catalog: The catalog snapshot.
            listed_items: Its items, as of the same moment.
        """
        self.listing, self.count = listed_items, listed_items.count
        self.features = np.empty((len(GLOBAL_FEATURES), self.count), np.float32)
        """(features, items): a row for each of `GLOBAL_FEATURES`."""
        log_counts = catalog.horizon_logs[:, : self.count]
        log_share(log_counts, out=self.features[: len(log_counts)])
        self.features[GLOBAL_FEATURES.index("rated")] = _rated(catalog, self.count)
        self.features[GLOBAL_FEATURES.index("fresh")] = _fresh(catalog, self.count)
        self._catalog, self._cohorts, self._segments = catalog, dict[int, Column](), dict[str, Column]()
        self._hours, self._weekdays = dict[int, Column](), dict[int, Column]()
        positive, negative = catalog.outcome_counts[: self.count].sum(axis=0).tolist()
        self.outcome_ratio = positive / negative if negative else math.inf
        """Number of actions that speak for items, for each one that speaks against one."""
        self._by_popularity: dict[Kinds | None, Indices] = {}
        self._by_item: Column | None = None

    def at(self, where: Where) -> Column:
        """Return the (features, items) features of some items."""
        if isinstance(where, slice):
            return self.features[:, where]
        if self._by_item is None:  # the features of an item lie side by side: a third of the time in a large catalog
            self._by_item = np.ascontiguousarray(self.features.T)
        return self._by_item.take(where, axis=0).T

    def by_popularity(self, kinds: Kinds | None = None) -> Indices:
        """Return the catalog, most popular first, with items without interactions last.

        Args:
            kinds: Numbers of the kinds of its items; None for all.
        """
        if kinds not in self._by_popularity:
            items, catalog = self.listing.listed_items, self._catalog
            if kinds is not None:
                items = items[self.listing.are_of(kinds, items)]
            popularity = catalog.horizon_logs[HORIZONS.index("popular"), items]
            self._by_popularity[kinds] = items[np.lexsort((catalog.tie_breakers[items], -popularity))]
        return self._by_popularity[kinds]

    def cohort(self, cohort: int) -> Column:
        """Return the popularity among users of a cohort."""
        if cohort not in self._cohorts:
            self._cohorts[cohort] = log_share(self._catalog.cohorts[: self.count, cohort])
        return self._cohorts[cohort]

    def hour(self, hour: int) -> Column:
        """Return the popularity at an hour of the day, relative to that of all items."""
        if hour not in self._hours:
            self._hours[hour] = self._catalog.visit_times.hour_lift(hour, self.count)
        return self._hours[hour]

    def weekday(self, weekday: int) -> Column:
        """Return the popularity on a day of the week, relative to that of all items; 0 is a Thursday."""
        if weekday not in self._weekdays:
            self._weekdays[weekday] = self._catalog.visit_times.weekday_lift(weekday, self.count)
        return self._weekdays[weekday]

    def segment(self, segment: str) -> Column | None:
        """Return the popularity in a demographic group; None for an unknown group."""
        if segment not in self._segments and segment in self._catalog.segments:
            self._segments[segment] = log_share(self._catalog.segments[segment][: self.count])
        return self._segments.get(segment)


def log_share(logs: Scores, *, out: Column | None = None) -> Column:
    """Return the log-scaled strength of sums relative to a strong sum of their row: 0 for none, 6.9 for that sum.

    The formula is ln(1 + share / 0.001). This logarithm is 0 for an empty sum, because a feature without evidence must
    not count. The reference is not the strongest single item, so that one event after a quiet time does not move the
    strengths of all other items.

    Args:
        logs: (items,) or (rows, items) natural logarithms; -inf for an empty sum.
        out: Array for the strengths; a new one by default.

    >>> [round(float(strength), 1) for strength in log_share(np.log([100.0, 10.0, 1.0]))]
    [6.9, 4.6, 2.4]
    """
    shares = np.subtract(logs, _reference_logs(logs), out=out, dtype=np.float64, casting="same_kind")
    shares = shares.astype(np.float32, copy=False)
    np.minimum(shares, _MAX_SHARE, out=shares)
    np.exp(shares, out=shares)
    shares *= np.float32(1.0 / LOG_SHARE_UNIT)
    return np.log1p(shares, out=shares)


def _reference_logs(logs: Scores) -> NDArray[np.float64]:
    """Return (rows, 1) reference sums: the fifth strongest of a row, or a stronger one where there are few items."""
    measures = np.zeros((*logs.shape[:-1], 1))
    for at in np.ndindex(*logs.shape[:-1]):
        row = logs[at]
        count = int(np.count_nonzero(row > -np.inf))
        if count:
            rank = min(max(count // _ITEMS_PER_RANK, 1), _RANK)
            measures[at] = np.partition(row, len(row) - rank)[len(row) - rank]
    return measures


def _rated(catalog: CatalogSnapshot, count: int) -> Column:
    """Return the deviation of mean ratings from the global mean, shrunk towards a prior for items with few ratings.

    The prior of an item is the rating that the catalogue brings along, relative to those of other items, and shrunk
    likewise; without one it is the global mean.
    """
    counts, sums = catalog.rating_counts[:count], catalog.rating_sums[:count]
    mean = sums.sum() / max(counts.sum(), 1.0)
    own_means, own_counts = catalog.own_ratings[:count].T
    rated_means = own_means[own_counts > 0]
    deviations = (own_means - (rated_means.mean() if len(rated_means) else 0.0)) * own_counts
    priors = mean + deviations / (own_counts + _PRIOR_RATINGS)
    return np.asarray((sums + _PRIOR_RATINGS * priors) / (counts + _PRIOR_RATINGS) - mean, np.float32)


def _fresh(catalog: CatalogSnapshot, count: int) -> Column:
    """Return the freshness of items: 1 for today, falling to 0 over ten years."""
    age_ms = catalog.watermark - np.where(catalog.first_at > 0, catalog.first_at, catalog.created_at)[:count]
    days = np.maximum(age_ms, 0.0) / DAY_MS
    return np.asarray(1.0 - np.minimum(np.log1p(days) / np.log1p(_OLD_DAYS), 1.0), np.float32)
