"""Reasons for items in a feed, in true words: derived from the features that set the item's score apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from models.neighbours.cooccurrence import STEP, TOGETHER
from models.vocabulary import MISSING
from streams.core.ranking.catalog import event_time
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import Indices
from streams.core.ranking.ranking_query import RankingQuery

Reason = Callable[[Indices, RankingQuery, CatalogSnapshot], list[str]]
"""Writes a sentence for each of some items, whose scores one feature group sets apart."""

_REASON_ITEMS = 20
"""Liked items that a reason may name; earlier ones have next to no weight."""
_TITLE_CHARS = 120
"""Longest title in a reason: feeds are bounded in bytes."""
_LOOKED_AT = "Goes with what you looked at"


def leading_groups(
    groups: Sequence[str], contributions: NDArray[np.float64], baseline: NDArray[np.float64], *, default: str
) -> list[str]:
    """Return the feature group that sets each item apart most from the mean candidate.

    Args:
        groups: The names of the groups.
        contributions: (groups, items) contribution of each group to an item's score.
        baseline: (groups, 1) contribution of each group to the mean candidate's score.
        default: The group of items without a positive contribution.
    """
    apart = np.where(contributions > 0, contributions - baseline, -np.inf)
    has_contribution: list[bool] = (contributions.max(axis=0) > 0).tolist()
    return [
        groups[group] if explains else default
        for group, explains in zip(apart.argmax(axis=0), has_contribution, strict=True)
    ]


def write_reasons(
    items: Indices, writers: Sequence[Reason], query: RankingQuery, catalog: CatalogSnapshot
) -> list[str]:
    """Return a reason per item.

    Args:
        items: Indices of the items.
        writers: The writer of each item's reason.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    texts = [""] * len(items)
    for write in dict.fromkeys(writers):
        positions = [position for position, writer in enumerate(writers) if writer is write]
        for position, text in zip(positions, write(items[positions], query, catalog), strict=True):
            texts[position] = text
    return texts


def always(text: str) -> Reason:
    """Return the writer of one sentence for all items."""
    return lambda items, _query, _catalog: [text] * len(items)


def in_category(words: str) -> Reason:
    """Return the writer of some words followed by the category of each item."""
    return lambda items, _query, catalog: [f"{words} {category}" for category in _categories(items, catalog)]


def likes(items: Indices, query: RankingQuery, catalog: CatalogSnapshot) -> list[str]:
    """Name each item's topic with the user's highest affinity, else its category.

    Args:
        items: Indices of the items.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    affinities = _favourite_topics(query)
    texts = []
    for index, category in zip(items.tolist(), _categories(items, catalog), strict=True):
        topics = [topic for topic in catalog.labels_by_item[catalog.items.names[index]].topics if topic in affinities]
        texts.append(f"You like {max(topics, key=affinities.__getitem__) if topics else category}")
    return texts


def on_date(otherwise: Reason, *, suffix: str = "") -> Reason:
    """Return the writer of each item's event time in words.

    Args:
        otherwise: The writer for items without an event time.
        suffix: Words after the time.
    """

    def _write(items: Indices, query: RankingQuery, catalog: CatalogSnapshot) -> list[str]:
        starts = catalog.spans[items, 0].tolist()
        return [
            f"{event_time.format_relative_date(start, query.local_ms)}{suffix}" if start else text
            for start, text in zip(starts, otherwise(items, query, catalog), strict=True)
        ]

    return _write


def because_liked(items: Indices, query: RankingQuery, catalog: CatalogSnapshot) -> list[str]:
    """Name the liked item of the history with the strongest link to each item.

    Args:
        items: Indices of the items.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
    """
    liked_items = query.history[query.is_liked][:_REASON_ITEMS]
    if not len(liked_items):
        return [_LOOKED_AT] * len(items)
    links = catalog.neighbors.links.between(liked_items, items, channel=TOGETHER)
    weights = np.maximum(catalog.item_weights.between(liked_items, items), 0.0)
    links = (
        np.where(links.any(axis=0), links, weights) * (STEP ** np.flatnonzero(query.is_liked)[:_REASON_ITEMS])[:, None]
    )
    best = np.where(links.max(axis=0) > 0, liked_items[links.argmax(axis=0)], MISSING).tolist()
    texts = {one: f"Because you liked {_title(one, catalog)}" for one in set(best) - {MISSING}} | {MISSING: _LOOKED_AT}
    return [texts[one] for one in best]


def _categories(items: Indices, catalog: CatalogSnapshot) -> list[str]:
    return [catalog.categories.names[category] for category in catalog.category[items].tolist()]


def _title(index: int, catalog: CatalogSnapshot) -> str:
    title = catalog.titles[index] or catalog.items.names[index]
    return title if len(title) <= _TITLE_CHARS else title[: _TITLE_CHARS - 1] + "…"


def _favourite_topics(query: RankingQuery) -> dict[str, float]:
    """Return the user's favourite topics with their affinities; stated ones have infinite affinity."""
    affinities = {topic: affinity for topic, affinity in query.features.topics.items() if affinity > 0}
    return affinities | dict.fromkeys(query.features.preferred, math.inf)
