"""Candidate sources, for a catalog too large to score whole: each source names items.

The user's own sources read the item-item matrices of the history. The others are charts, rebuilt a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import nlargest

import numpy as np

from domain.nearby import geo_location
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import NO_ITEMS, Indices
from streams.core.ranking.ranking_query import RankingQuery

_DIGITS = 9
_EMBEDDED_SHARE = 3
"""A search takes longer with each result, so it yields a third of the items of other sources."""
_ALIKE_ITEMS = 20
"""Number of last liked items for which similar items are looked up."""


def co_occurring(query: RankingQuery, _: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that co-occur most with the user's last items, by each item-item feature.

    Args:
        query: The ranking query of the user.
        params: Supplies the number of items per feature.
    """
    return query.history_scores.strongest(params.source_items)


def again(query: RankingQuery, _: CatalogSnapshot, __: RankParams) -> Indices:
    """Return the items that the user acted on before and that may be shown again.

    Args:
        query: The ranking query of the user.
    """
    return query.repeatable_items


def prefetched(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Return the items that were prefetched for the user.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    items = catalog.items.encode_known(query.features.prefetched)
    return items[items < catalog.columns.count]


def trending(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that trend, overall and in the user's favourite categories.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: Supplies the number of items and of categories.
    """
    charts, categories = catalog.charts, _favourite_categories(query.features, catalog, params.categories)
    return _leading(charts.trending, charts.trending_in, categories, most=params.source_items, share=0.5)


def popular(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that are popular, overall and in the user's favourite categories.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: Supplies the number of items and of categories.
    """
    charts, categories = catalog.charts, _favourite_categories(query.features, catalog, params.categories)
    return _leading(charts.popular, charts.popular_in, categories, most=params.source_items)


def segment(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that are popular in the user's demographic group.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: Supplies the number of items.
    """
    return catalog.charts.segments.get(query.features.segment, NO_ITEMS)[: params.source_items]


def fresh(_: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the newest items of the catalog.

    Args:
        catalog: The catalog snapshot.
        params: Supplies the number of items.
    """
    return catalog.charts.fresh[: params.source_items]


def without_location(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Return items without a location, for users of unknown location: few of the other charts may pass their filter.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    features = query.features
    return (
        NO_ITEMS
        if geo_location(features.cell, features.city, features.timezone).is_known
        else catalog.charts.without_location
    )


def similar(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return items similar to the user's last liked items by their texts, however new they are.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: Supplies the number of items.
    """
    likes = query.history[query.is_liked][:_ALIKE_ITEMS]
    items = catalog.content_index.nearest(likes, params.source_items)
    return items[items < catalog.columns.count]


def embedded(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items with the highest scores by embeddings.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: Supplies the number of items.
    """
    if query.embedding is None:
        return NO_ITEMS
    items = catalog.embedding_index.nearest(query.embedding, params.source_items // _EMBEDDED_SHARE)
    return items[items < catalog.columns.count]


Source = Callable[[RankingQuery, CatalogSnapshot, RankParams], Indices]
SOURCES: tuple[Source, ...] = (
    co_occurring,
    again,
    similar,
    embedded,
    prefetched,
    trending,
    popular,
    segment,
    fresh,
    without_location,
)


def candidate_items(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the listed items that the sources name, each once.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    items = np.sort(np.concatenate([source(query, catalog, params) for source in SOURCES]))
    is_first = np.ones(len(items), bool)
    np.not_equal(items[1:], items[:-1], out=is_first[1:])
    items = items[is_first]
    return items[catalog.visible_to(query.features.prefetched, items)]


def _leading(
    chart: Indices, by_category: Mapping[str, Indices], categories: Sequence[str], *, most: int, share: float = 1.0
) -> Indices:
    """Return the best of a chart and of the charts of some categories.

    Args:
        chart: The chart of the whole catalog.
        by_category: The charts of categories.
        categories: The categories.
        most: Number of items of the chart.
        share: Number of items of all categories together, as a share of that.
    """
    each = int(most * share) // (len(categories) or 1)
    return np.concatenate([chart[:most], *(by_category.get(name, NO_ITEMS)[:each] for name in categories)])


def _favourite_categories(features: Features, catalog: CatalogSnapshot, limit: int) -> list[str]:
    """Return the user's favourite categories: learned ones, strongest first, then stated ones."""
    least = min(nlargest(limit, features.categories.values()), default=0.0) - 10.0**-_DIGITS
    affinities = (
        (name, round(affinity, _DIGITS))
        for name, affinity in features.categories.items()
        if affinity > 0 and affinity >= least
    )
    strongest = sorted(affinities, key=lambda entry: (-entry[1], entry[0]))
    stated_categories = [name for name in features.preferred if catalog.categories.get(name) >= 0]
    return list(dict.fromkeys([*(name for name, _ in strongest[:limit]), *stated_categories[:limit]]))
