"""Where candidates come from once the catalogue is too large to score whole: each source names items.

The person's sources read what the tables say of the history; the others are charts, drawn anew a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from models.neighbours.cooccurrence import STEP
from schemas.nearby import spot
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.ranking.catalog_snapshot import NOTHING, CatalogSnapshot, Column, Indices
from streams.core.ranking.ranking_query import RankingQuery

_DIGITS = 9
_ALIKE_ITEMS = 20
"""Last liked items that others are held against."""


def voted(query: RankingQuery, _: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what goes with the person's last items, by each of the tables."""
    return np.concatenate([_best(votes, params.source_items) for votes in query.votes])


def again(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what the person acted on before, where items are shown again."""
    return catalog.items.encode_known(query.features.seen) if params.repeats else NOTHING


def prefetched(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Name what was fetched for the person."""
    items = catalog.items.encode_known(query.features.prefetched)
    return items[items < catalog.columns.count]


def trending(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is trending, overall and in the categories the person cares for."""
    charts = catalog.charts
    return _leading(
        charts.trending, charts.trending_in, query, catalog=catalog, most=params.source_items // 2, params=params
    )


def popular(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is popular overall and in the categories the person cares for."""
    charts = catalog.charts
    return _leading(charts.popular, charts.popular_in, query, catalog=catalog, most=params.source_items, params=params)


def segment(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is popular with the person's demographic group."""
    return catalog.charts.segments.get(query.features.segment, NOTHING)[: params.source_items]


def fresh(_: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what entered the catalogue last."""
    return catalog.charts.fresh[: params.source_items]


def untied(query: RankingQuery, catalog: CatalogSnapshot, _: RankParams) -> Indices:
    """Name items that are tied to no place, for whoever's place is unknown: of the charts, few may be left."""
    features = query.features
    return NOTHING if spot(features.cell, features.city, features.timezone).is_known else catalog.charts.untied


def alike(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is said to be like the items that the person liked last, however new it is."""
    liked = query.history[query.liked][:_ALIKE_ITEMS]
    return catalog.likeness.nearest(liked, STEP ** np.arange(len(liked), dtype=np.float32), params.source_items)


Source = Callable[[RankingQuery, CatalogSnapshot, RankParams], Indices]
SOURCES: tuple[Source, ...] = (voted, again, alike, prefetched, trending, popular, segment, fresh, untied)


def named(query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the listed items that the sources name, each once."""
    is_candidate = np.zeros(catalog.columns.count, bool)
    for source in SOURCES:
        is_candidate[source(query, catalog, params)] = True
    return np.flatnonzero(is_candidate & catalog.listed_for(query.features.prefetched)).astype(np.int32)


def _leading(
    chart: Indices,
    by_category: Mapping[str, Indices],
    query: RankingQuery,
    *,
    catalog: CatalogSnapshot,
    most: int,
    params: RankParams,
) -> Indices:
    """Return the best of a chart, and of those of the person's categories, which share so many."""
    categories = _favourite_categories(query.features, catalog, params.categories)
    each = most // (len(categories) or 1)
    return np.concatenate(
        [chart[: params.source_items], *(by_category.get(name, NOTHING)[:each] for name in categories)]
    )


def _favourite_categories(features: Features, catalog: CatalogSnapshot, most: int) -> list[str]:
    """Return the categories a person cares for, found ones before stated ones, most first."""
    affinities = ((name, round(affinity, _DIGITS)) for name, affinity in features.categories.items() if affinity > 0)
    strongest = sorted(affinities, key=lambda entry: (-entry[1], entry[0]))
    stated = [name for name in features.preferred if catalog.categories.get(name) >= 0]
    return list(dict.fromkeys([*(name for name, _ in strongest[:most]), *stated[:most]]))


def _best(votes: Column, most: int) -> Indices:
    items = np.flatnonzero(votes > 0)
    if len(items) > most:
        items = items[np.argpartition(-votes[items], most)[:most]]
    return items.astype(np.int32)
