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


def voted(whom: RankingQuery, _: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what goes with the person's last items, by each of the tables."""
    return np.concatenate([_best(votes, params.source_items) for votes in whom.votes])


def again(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what the person acted on before, where items are shown again."""
    return view.items.encode_known(whom.features.seen) if params.repeats else NOTHING


def prefetched(whom: RankingQuery, view: CatalogSnapshot, _: RankParams) -> Indices:
    """Name what was fetched for the person."""
    known = view.items.encode_known(whom.features.prefetched)
    return known[known < view.columns.count]


def trending(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is trending, overall and in the categories the person cares for."""
    charts = view.charts
    return _leading(charts.trending, charts.trending_in, whom, view=view, most=params.source_items // 2, params=params)


def popular(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is popular overall and in the categories the person cares for."""
    charts = view.charts
    return _leading(charts.popular, charts.popular_in, whom, view=view, most=params.source_items, params=params)


def segment(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is popular with the person's demographic group."""
    return view.charts.segments.get(whom.features.segment, NOTHING)[: params.source_items]


def fresh(_: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what entered the catalogue last."""
    return view.charts.fresh[: params.source_items]


def untied(whom: RankingQuery, view: CatalogSnapshot, _: RankParams) -> Indices:
    """Name items that are tied to no place, for whoever's place is unknown: of the charts, few may be left."""
    told = whom.features
    return NOTHING if spot(told.cell, told.city, told.timezone).is_known else view.charts.untied


def alike(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Name what is said to be like the items that the person liked last, however new it is."""
    liked = whom.history[whom.liked][:_ALIKE_ITEMS]
    return view.likeness.nearest(liked, STEP ** np.arange(len(liked), dtype=np.float32), params.source_items)


Source = Callable[[RankingQuery, CatalogSnapshot, RankParams], Indices]
SOURCES: tuple[Source, ...] = (voted, again, alike, prefetched, trending, popular, segment, fresh, untied)


def named(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the listed items that the sources name, each once."""
    found = np.zeros(view.columns.count, bool)
    for source in SOURCES:
        found[source(whom, view, params)] = True
    return np.flatnonzero(found & view.listed_for(whom.features.prefetched)).astype(np.int32)


def _leading(
    chart: Indices,
    by_category: Mapping[str, Indices],
    whom: RankingQuery,
    *,
    view: CatalogSnapshot,
    most: int,
    params: RankParams,
) -> Indices:
    """Return the best of a chart, and of those of the person's categories, which share so many."""
    likings = _likings(whom.features, view, params.categories)
    each = most // (len(likings) or 1)
    return np.concatenate([chart[: params.source_items], *(by_category.get(name, NOTHING)[:each] for name in likings)])


def _likings(told: Features, view: CatalogSnapshot, most: int) -> list[str]:
    """Return the categories a person cares for, found ones before stated ones, most first."""
    affinities = ((name, round(affinity, _DIGITS)) for name, affinity in told.categories.items() if affinity > 0)
    found = sorted(affinities, key=lambda liking: (-liking[1], liking[0]))
    stated = [name for name in told.preferred if view.categories.get(name) >= 0]
    return list(dict.fromkeys([*(name for name, _ in found[:most]), *stated[:most]]))


def _best(votes: Column, most: int) -> Indices:
    found = np.flatnonzero(votes > 0)
    if len(found) > most:
        found = found[np.argpartition(-votes[found], most)[:most]]
    return found.astype(np.int32)
