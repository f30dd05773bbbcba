"""Why an item is in a feed, in words that are true: derived from what set its score apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.neighbours.cooccurrence import STEP, TOGETHER
from models.vocabulary import MISSING
from streams.core.ranking import event_time
from streams.core.ranking.catalog_snapshot import CatalogSnapshot, Indices
from streams.core.ranking.ranking_query import RankingQuery

_TOLD_ITEMS = 20
"""Liked items that may be named as a reason; those before them count next to nothing."""
_TITLE_CHARS = 120
"""Longest title in a reason: feeds are bounded in bytes."""
_TIMED = ("soon", "prefetched")
"""Sources that say when an item takes place."""
_LINKED = ("neighbors", "taste")
"""Sources that say what an item goes with."""
_LOOKED_AT = "Goes with what you looked at"
FILL = "popular"
"""The source of items that only fill a feed up."""
_FIXED = {
    "trending": "Trending now",
    "segment": "Popular with people like you",
    "rated": "Highly rated",
    "prefetched": "Found for you",
    "again": "You come back to this",
}


def leading(names: Sequence[str], contributions: NDArray[np.float64], baseline: NDArray[np.float64]) -> list[str]:
    """Return the source that sets each item apart most from the usual candidate.

    Args:
        names: The sources.
        told: (sources, items) what each adds to an item's score.
        usual: (sources, 1) what each adds to the mean candidate's.
    """
    apart = np.where(contributions > 0, contributions - baseline, -np.inf)
    has_contribution: list[bool] = (contributions.max(axis=0) > 0).tolist()
    return [
        names[source] if explains else FILL
        for source, explains in zip(apart.argmax(axis=0), has_contribution, strict=True)
    ]


def reasons(items: Indices, sources: Sequence[str], query: RankingQuery, catalog: CatalogSnapshot) -> list[str]:
    """Return a reason per item."""
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
    """Return when an item takes place, where it does."""
    starts = int(catalog.spans[index, 0])
    if not starts:
        return ""
    date = event_time.format_relative_date(starts, query.local_ms)
    return date if source == "soon" else f"{date}, found for you"


def _reason_text(source: str, index: int, category: str, topics: dict[str, float], catalog: CatalogSnapshot) -> str:
    if source == "affinity":
        liked_topics = [topic for topic in catalog.subjects[catalog.items.names[index]].topics if topic in topics]
        return f"You like {max(liked_topics, key=topics.__getitem__) if liked_topics else category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _title(index: int, catalog: CatalogSnapshot) -> str:
    title = catalog.titles[index] or catalog.items.names[index]
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"


def _because(items: Indices, sources: Sequence[str], query: RankingQuery, catalog: CatalogSnapshot) -> dict[int, str]:
    """Return, for each item that goes with the history, the liked item of it that it goes with most."""
    linked = items[[source in _LINKED for source in sources]]
    liked = query.history[query.liked][:_TOLD_ITEMS]
    if not len(linked):
        return {}
    if not len(liked):
        return dict.fromkeys(linked.tolist(), _LOOKED_AT)
    links = catalog.neighbors.links.between(liked, linked, channel=TOGETHER)
    fitted = np.maximum(catalog.tastes.between(liked, linked, channel=0), 0.0)
    links = np.where(links.any(axis=0), links, fitted) * (STEP ** np.flatnonzero(query.liked)[:_TOLD_ITEMS])[:, None]
    best = np.where(links.max(axis=0) > 0, liked[links.argmax(axis=0)], MISSING).tolist()
    texts = {one: f"Because you liked {_title(one, catalog)}" for one in set(best) - {MISSING}} | {MISSING: _LOOKED_AT}
    return {index: texts[one] for index, one in zip(linked.tolist(), best, strict=True)}


def _favourite_topics(query: RankingQuery) -> dict[str, float]:
    """Return the topics that the person cares for, with how much; stated ones come before found ones."""
    affinities = {topic: affinity for topic, affinity in query.features.topics.items() if affinity > 0}
    return affinities | dict.fromkeys(query.features.preferred, math.inf)
