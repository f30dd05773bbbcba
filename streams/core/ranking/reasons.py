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


def leading(names: Sequence[str], told: NDArray[np.float64], usual: NDArray[np.float64]) -> list[str]:
    """Return the source that sets each item apart most from the usual candidate.

    Args:
        names: The sources.
        told: (sources, items) what each adds to an item's score.
        usual: (sources, 1) what each adds to the mean candidate's.
    """
    apart = np.where(told > 0, told - usual, -np.inf)
    speaks: list[bool] = (told.max(axis=0) > 0).tolist()
    return [names[source] if said else FILL for source, said in zip(apart.argmax(axis=0), speaks, strict=True)]


def reasons(items: Indices, sources: Sequence[str], whom: RankingQuery, view: CatalogSnapshot) -> list[str]:
    """Return a reason per item."""
    topics, because = _favourite_topics(whom), _because(items, sources, whom, view)
    each = zip(items.tolist(), sources, view.category[items].tolist(), strict=True)
    return [
        because[index]
        if source in _LINKED
        else (_when(source, index, whom, view) if source in _TIMED else "")
        or _FIXED.get(source)
        or _told(source, index, view.categories.names[category], topics, view)
        for index, source, category in each
    ]


def _when(source: str, index: int, whom: RankingQuery, view: CatalogSnapshot) -> str:
    """Return when an item takes place, where it does."""
    starts = int(view.spans[index, 0])
    if not starts:
        return ""
    told = event_time.format_relative_date(starts, whom.local_ms)
    return told if source == "soon" else f"{told}, found for you"


def _told(source: str, index: int, category: str, topics: dict[str, float], view: CatalogSnapshot) -> str:
    if source == "affinity":
        found = [topic for topic in view.subjects[view.items.names[index]].topics if topic in topics]
        return f"You like {max(found, key=topics.__getitem__) if found else category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _title(index: int, view: CatalogSnapshot) -> str:
    title = view.titles[index] or view.items.names[index]
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"


def _because(items: Indices, sources: Sequence[str], whom: RankingQuery, view: CatalogSnapshot) -> dict[int, str]:
    """Return, for each item that goes with the history, the liked item of it that it goes with most."""
    linked = items[[source in _LINKED for source in sources]]
    liked = whom.history[whom.liked][:_TOLD_ITEMS]
    if not len(linked):
        return {}
    if not len(liked):
        return dict.fromkeys(linked.tolist(), _LOOKED_AT)
    links = view.neighbors.links.between(liked, linked, channel=TOGETHER)
    fitted = np.maximum(view.tastes.between(liked, linked, channel=0), 0.0)
    links = np.where(links.any(axis=0), links, fitted) * (STEP ** np.flatnonzero(whom.liked)[:_TOLD_ITEMS])[:, None]
    best = np.where(links.max(axis=0) > 0, liked[links.argmax(axis=0)], MISSING).tolist()
    told = {one: f"Because you liked {_title(one, view)}" for one in set(best) - {MISSING}} | {MISSING: _LOOKED_AT}
    return {index: told[one] for index, one in zip(linked.tolist(), best, strict=True)}


def _favourite_topics(whom: RankingQuery) -> dict[str, float]:
    """Return the topics that the person cares for, with how much; stated ones come before found ones."""
    found = {topic: affinity for topic, affinity in whom.features.topics.items() if affinity > 0}
    return found | dict.fromkeys(whom.features.preferred, math.inf)
