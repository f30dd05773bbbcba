"""Reasons for items in a feed, in true words: derived from the features that set the item's score apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.neighbours.cooccurrence import STEP, TOGETHER
from models.vocabulary import MISSING
from streams.core.ranking.catalog import event_time
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices
from streams.core.ranking.ranking_query import RankingQuery

_REASON_ITEMS = 20
"""Liked items that a reason may name; earlier ones have next to no weight."""
_TITLE_CHARS = 120
"""Longest title in a reason: feeds are bounded in bytes."""
_TIMED = ("soon", "prefetched")
"""Sources whose reason states an item's event time."""
_LINKED = ("neighbors", "taste")
"""Sources whose reason names a linked item."""
_LOOKED_AT = "Goes with what you looked at"
FILL_REASON = "popular"
"""The source of items that only fill up a feed."""
_FIXED = {
    "trending": "Trending now",
    "segment": "Popular with people like you",
    "rated": "Highly rated",
    "prefetched": "Found for you",
    "again": "You come back to this",
}


def leading_features(
    names: Sequence[str], contributions: NDArray[np.float64], baseline: NDArray[np.float64]
) -> list[str]:
    """Return the source that sets each item apart most from the mean candidate.

    Args:
        names: The sources.
        contributions: (sources, items) contribution of each source to an item's score.
        baseline: (sources, 1) contribution of each source to the mean candidate's score.
    """
    apart = np.where(contributions > 0, contributions - baseline, -np.inf)
    has_contribution: list[bool] = (contributions.max(axis=0) > 0).tolist()
    return [
        names[source] if explains else FILL_REASON
        for source, explains in zip(apart.argmax(axis=0), has_contribution, strict=True)
    ]


def reasons(items: Indices, sources: Sequence[str], query: RankingQuery, catalog: CatalogSnapshot) -> list[str]:
    """Return a reason per item.

    Args:
        items: Indices of the items.
        sources: The leading source of each item.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    topics, because = _favourite_topics(query), _because(items, sources, query, catalog)
    each = zip(items.tolist(), sources, catalog.category[items].tolist(), strict=True)
    return [
        because[index]
        if source in _LINKED
        else (_when(source, index, query, catalog) if source in _TIMED else "")
        or _FIXED.get(source)
        or _reason_text(source, index, catalog.categories.names[category], topics, catalog)
        for index, source, category in each
    ]


def _when(source: str, index: int, query: RankingQuery, catalog: CatalogSnapshot) -> str:
    """Return an item's event time in words; empty for an item without one."""
    starts = int(catalog.spans[index, 0])
    if not starts:
        return ""
    date = event_time.format_relative_date(starts, query.local_ms)
    return date if source == "soon" else f"{date}, found for you"


def _reason_text(source: str, index: int, category: str, topics: dict[str, float], catalog: CatalogSnapshot) -> str:
    if source == "affinity":
        liked_topics = [topic for topic in catalog.labels_by_item[catalog.items.names[index]].topics if topic in topics]
        return f"You like {max(liked_topics, key=topics.__getitem__) if liked_topics else category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _title(index: int, catalog: CatalogSnapshot) -> str:
    title = catalog.titles[index] or catalog.items.names[index]
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"


def _because(items: Indices, sources: Sequence[str], query: RankingQuery, catalog: CatalogSnapshot) -> dict[int, str]:
    """Return the reasons of linked items by index: each names the liked item of the history with the strongest link."""
    linked = items[[source in _LINKED for source in sources]]
    liked = query.history[query.is_liked][:_REASON_ITEMS]
    if not len(linked):
        return {}
    if not len(liked):
        return dict.fromkeys(linked.tolist(), _LOOKED_AT)
    links = catalog.neighbors.links.between(liked, linked, channel=TOGETHER)
    fitted = np.maximum(catalog.item_weights.between(liked, linked, channel=0), 0.0)
    links = (
        np.where(links.any(axis=0), links, fitted) * (STEP ** np.flatnonzero(query.is_liked)[:_REASON_ITEMS])[:, None]
    )
    best = np.where(links.max(axis=0) > 0, liked[links.argmax(axis=0)], MISSING).tolist()
    texts = {one: f"Because you liked {_title(one, catalog)}" for one in set(best) - {MISSING}} | {MISSING: _LOOKED_AT}
    return {index: texts[one] for index, one in zip(linked.tolist(), best, strict=True)}


def _favourite_topics(query: RankingQuery) -> dict[str, float]:
    """Return the user's favourite topics with their affinities; stated ones have infinite affinity."""
    affinities = {topic: affinity for topic, affinity in query.features.topics.items() if affinity > 0}
    return affinities | dict.fromkeys(query.features.preferred, math.inf)
