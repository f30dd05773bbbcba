"""Filters of the ranking: each names the items that it removes for a user."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.nearby import GeoLocation, geo_location
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import NO_ITEMS, Indices
from streams.core.ranking.ranking_query import RankingQuery


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter."""

    label: str
    """The reason for a removal, for people."""
    items: Callable[[RankingQuery, CatalogSnapshot, RankParams], Indices]
    """Returns the items that are removed for a user."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """The catalog after the filters."""

    is_kept: NDArray[np.bool_]
    """(items,) whether each item may be shown to the user."""
    removed_counts: dict[str, int]
    """The number of items removed, by filter; an item counts for the first filter that removes it."""


def apply_filters(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Filtered:
    """Return the items that may be shown to a user.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    is_kept = catalog.visible_to(query.features.prefetched)
    count = int(np.count_nonzero(is_kept))
    removed_counts = {UNLISTED: len(is_kept) - count}
    for name, filter_ in FILTERS.items():
        is_kept[_known(filter_.items(query, catalog, params), catalog)] = False
        before, count = count, int(np.count_nonzero(is_kept))
        removed_counts[name] = before - count
    return Filtered(is_kept, removed_counts)


def removed_items(
    query: RankingQuery, catalog: CatalogSnapshot, params: RankParams, *, without: Collection[str] = ()
) -> Indices:
    """Return the items that filters remove for a user.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        without: Names of the filters that are not applied.
    """
    items = [filter_.items(query, catalog, params) for name, filter_ in FILTERS.items() if name not in without]
    return _known(np.concatenate(items), catalog)


def muted(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Return the muted items, and the items of muted categories and topics.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    names = query.features.muted
    if not names:
        return NO_ITEMS
    count = len(catalog.items)
    is_muted = np.zeros(count, bool)
    is_muted[catalog.items.encode_known(names)] = True
    for name in names:
        category, topic = catalog.categories.get(name), catalog.topics.get(name)
        if category >= 0:
            is_muted |= catalog.category[:count] == category
        if topic >= 0:
            is_muted |= (catalog.item_topics[:count] == topic).any(axis=1)
    return np.flatnonzero(is_muted).astype(np.int32)


def distant(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items with a location that is not near the user's.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    user = _location(query.features)
    if not user.is_known:
        return NO_ITEMS
    return catalog.geo_index.not_near(catalog.columns.count, user, radius_km=params.nearby_radius_km)


def ended(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Return the items whose event time has passed.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    listing = catalog.columns.listing
    return listing.timed_items[listing.spans[:, 1] <= query.local_ms]


def sold_out(_: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that are out of stock, unless they are to come last.

    Args:
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    return catalog.columns.listing.sold_out if params.hides_out_of_stock else NO_ITEMS


def seen(query: RankingQuery, _: CatalogSnapshot, __: RankParams) -> Indices:
    """Return the items that the user has acted on, but for those of categories that repeat.

    Args:
        query: The ranking query of the user.
    """
    return query.hidden_items


UNLISTED = "unlisted"
"""Items that are hidden from the user before any filter: outside the catalogue, or prefetched for others."""
FILTERS: dict[str, Filter] = {
    "muted": Filter("the user has muted it, its category or one of its topics", muted),
    "distant": Filter("it is too far from the user", distant),
    "ended": Filter("it is over", ended),
    "sold_out": Filter("it is out of stock", sold_out),
    "seen": Filter("the user has acted on it already", seen),
}
"""The filters by name, in their order."""
REMOVAL_LABELS = {
    UNLISTED: "it is not in the catalogue, or was fetched for other users only",
    **{name: filter_.label for name, filter_ in FILTERS.items()},
}
"""The reasons for a removal by name, for people."""


def trailing(
    query: RankingQuery, catalog: CatalogSnapshot, params: RankParams, *, is_filtered: bool = True
) -> NDArray[np.bool_]:
    """Return (items,) whether each item comes after all others, regardless of its score.

    These are items with a location, for a user of unknown location, and items out of stock that are not removed.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        is_filtered: Whether the filters are applied; if not, distant and sold-out items come last instead.
    """
    columns = catalog.columns
    last = np.zeros(columns.count, bool)
    if not _location(query.features).is_known:
        last[catalog.geo_index.with_location(columns.count)] = True
    if not is_filtered:
        last[distant(query, catalog, params)] = True
    if not (is_filtered and params.hides_out_of_stock):
        last[columns.listing.sold_out] = True
    return last


def _location(features: Features) -> GeoLocation:
    return geo_location(features.cell, features.city, features.timezone)


def _known(items: Indices, catalog: CatalogSnapshot) -> Indices:
    """Return the items that were in the catalog at its last refresh."""
    return items[items < catalog.columns.count]
