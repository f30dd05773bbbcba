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
from streams.core.ranking.catalog.item_columns import Where, marked
from streams.core.ranking.ranking_query import RankingQuery

Mask = NDArray[np.bool_] | None
"""(items,) whether each item is removed; None where none is."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter."""

    label: str
    """The reason for a removal, for people."""
    removes: Callable[[RankingQuery, CatalogSnapshot, RankParams, Where], Mask]
    """Returns (items,) whether each of some items is removed for a user."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Items after the filters."""

    is_kept: NDArray[np.bool_]
    """(items,) whether each item may be shown to the user."""
    removed_counts: dict[str, int]
    """The number of items removed, by filter; an item counts for the first filter that removes it."""


def apply_filters(
    query: RankingQuery, catalog: CatalogSnapshot, params: RankParams, where: Where = slice(None)
) -> Filtered:
    """Return which items may be shown to a user.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        where: The items; all by default.
    """
    is_kept = catalog.visible_to(query.features.prefetched, where)
    count = int(np.count_nonzero(is_kept))
    removed_counts = {UNLISTED: len(is_kept) - count}
    for name, filter_ in FILTERS.items():
        is_removed = filter_.removes(query, catalog, params, where)
        if is_removed is not None:
            is_kept &= ~is_removed
        before, count = count, int(np.count_nonzero(is_kept))
        removed_counts[name] = before - count
    return Filtered(is_kept, removed_counts)


def is_removed(
    query: RankingQuery,
    catalog: CatalogSnapshot,
    params: RankParams,
    where: Where,
    *,
    without: Collection[str] = (),
) -> NDArray[np.bool_]:
    """Return (items,) whether filters remove each of some items for a user.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        where: The items.
        without: Names of the filters that are not applied.
    """
    is_removed = np.zeros(catalog.columns.listing.size(where), bool)
    for name, filter_ in FILTERS.items():
        mask = None if name in without else filter_.removes(query, catalog, params, where)
        if mask is not None:
            is_removed |= mask
    return is_removed


def muted(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams, where: Where) -> Mask:
    """Return whether each item is muted, or is of a muted category or topic.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    names, count = query.features.muted, catalog.columns.count
    if not names:
        return None
    muted_items = catalog.items.encode_known(names)
    is_muted = marked(muted_items[muted_items < count], where, count=count)
    for name in names:
        category, topic = catalog.categories.get(name), catalog.topics.get(name)
        if category >= 0:
            is_muted |= catalog.category[:count][where] == category
        if topic >= 0:
            is_muted |= (catalog.item_topics[:count][where] == topic).any(axis=1)
    return is_muted


def distant(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams, where: Where) -> Mask:
    """Return whether each item has a location that is not near the user's.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        where: The items.
    """
    user, count, radius_km = _location(query.features), catalog.columns.count, params.nearby_radius_km
    if not user.is_known:
        return None
    if isinstance(where, slice):
        return marked(catalog.geo_index.not_near(count, user, radius_km=radius_km), where, count=count)
    return catalog.geo_index.is_far(where, user, radius_km=radius_km)


def ended(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams, where: Where) -> Mask:
    """Return whether the event time of each item has passed.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    listing = catalog.columns.listing
    if not len(listing.timed_items):
        return None
    if isinstance(where, slice):
        ended_items = listing.timed_items[listing.spans[:, 1] <= query.local_ms]
        return marked(ended_items, where, count=listing.count)
    spans = catalog.spans[where]
    is_ended: NDArray[np.bool_] = (spans[:, 0] != 0) & (spans[:, 1] <= query.local_ms)
    return is_ended


def sold_out(_: RankingQuery, catalog: CatalogSnapshot, params: RankParams, where: Where) -> Mask:
    """Return whether each item is out of stock, unless such items are to come last.

    Args:
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        where: The items.
    """
    listing = catalog.columns.listing
    return listing.is_sold_out[where] if params.hides_out_of_stock and listing.has_sold_out else None


def seen(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams, where: Where) -> Mask:
    """Return whether the user has acted on each item, but for those of categories that repeat.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    return marked(query.hidden_items, where, count=catalog.columns.count)


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
    query: RankingQuery,
    catalog: CatalogSnapshot,
    params: RankParams,
    where: Where = slice(None),
    *,
    is_filtered: bool = True,
) -> NDArray[np.bool_]:
    """Return (items,) whether each item comes after all others, regardless of its score.

    These are items with a location, for a user of unknown location, and items out of stock that are not removed.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        where: The items; all by default.
        is_filtered: Whether the filters are applied; if not, distant and sold-out items come last instead.
    """
    listing = catalog.columns.listing
    last = np.zeros(listing.size(where), bool)
    if not _location(query.features).is_known:
        last |= catalog.geo_index.is_tied(slice(0, listing.count) if isinstance(where, slice) else where)
    elif not is_filtered:
        is_distant = distant(query, catalog, params, where)
        last = last if is_distant is None else is_distant
    if listing.has_sold_out and not (is_filtered and params.hides_out_of_stock):
        last |= listing.is_sold_out[where]
    return last


def _location(features: Features) -> GeoLocation:
    return geo_location(features.cell, features.city, features.timezone)
