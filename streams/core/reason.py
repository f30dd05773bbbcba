"""Why an item is in a feed, in words that are true: derived from what set its score apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import STEP, TOGETHER
from streams.core import occasion
from streams.core.person import Person
from streams.core.view import Indices, View

_TOLD_ITEMS = 20
"""Liked items that may be named as a reason; those before them count next to nothing."""
_TIMED = ("soon", "prefetched")
"""Sources that say when an item takes place."""
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


def reasons(items: Indices, sources: Sequence[str], whom: Person, view: View) -> list[str]:
    """Return a reason per item."""
    topics, via = _favourite_topics(whom), _via(items, whom, view)
    each = zip(items.tolist(), sources, view.category[items].tolist(), via, strict=True)
    return [
        (_when(source, index, whom, view) if source in _TIMED else "")
        or _FIXED.get(source)
        or _told(source, index, view.categories.names[category], liked, topics, view)
        for index, source, category, liked in each
    ]


def _when(source: str, index: int, whom: Person, view: View) -> str:
    """Return when an item takes place, where it does."""
    starts = int(view.spans[index, 0])
    if not starts:
        return ""
    told = occasion.told(starts, whom.local_ms)
    return told if source == "soon" else f"{told}, found for you"


def _told(source: str, index: int, category: str, liked: int, topics: dict[str, float], view: View) -> str:
    if source in ("neighbors", "taste"):
        return f"Because you liked {_title(liked, view)}" if liked >= 0 else "Goes with what you looked at"
    if source == "affinity":
        found = [topic for topic in view.subjects[view.items.names[index]].topics if topic in topics]
        return f"You like {max(found, key=topics.__getitem__) if found else category}"
    return f"New in {category}" if source == "fresh" else f"Popular in {category}"


def _title(index: int, view: View) -> str:
    return view.titles[index] or view.items.names[index]


def _via(items: Indices, whom: Person, view: View) -> list[int]:
    """Return the liked item of the history that each item goes with most, or -1."""
    liked = whom.history[whom.liked][:_TOLD_ITEMS]
    if not len(liked):
        return [-1] * len(items)
    links = view.neighbors.links.between(liked, items, channel=TOGETHER)
    fitted = np.maximum(view.tastes.between(liked, items, channel=0), 0.0)
    links = np.where(links.any(axis=0), links, fitted) * (STEP ** np.flatnonzero(whom.liked)[:_TOLD_ITEMS])[:, None]
    best = links.argmax(axis=0)
    found: list[int] = np.where(links.max(axis=0) > 0, liked[best], -1).tolist()
    return found


def _favourite_topics(whom: Person) -> dict[str, float]:
    """Return the topics that the person cares for, with how much; stated ones come before found ones."""
    found = {topic: affinity for topic, affinity in whom.features.topics.items() if affinity > 0}
    return found | dict.fromkeys(whom.features.preferred, math.inf)
