"""Generated catalogue of any size with statistics, links and users, put straight into a catalog snapshot.

Items belong to communities of taste; their popularity is Zipf(1.0). An item is linked mostly within its community, the
more often the more popular both are, and users act mostly within one or two of them. The same seed gives the same
catalogue.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS, HOUR_MS
from schemas.types import Features, Item, RecentItem
from streams.core.item.item_stats import COHORTS, HOURS, WEEKDAYS
from streams.core.learning.learner import WEIGHTED_ITEMS
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot

NOW_MS = 1_700_000_000_000
_EVENTS_PER_ITEM = 20
_COMMUNITY = 200
"""Items of a community."""
_CATEGORIES, _TOPICS, _STYLES = 50, 400, 10
_MOST_LINKS = 200
_LOYALTY = 0.7
"""Share of links and events within a community."""
_HISTORY = 64
"""Events of a user."""
_STEP_MS = HOUR_MS
"""Time between two events of a user."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue, and users with their next choices."""

    snapshot: CatalogSnapshot
    users: list[Features]
    choices: list[str]
    """The item that each user acts on next."""


def generate(items: int, *, users: int, text_items: int, seed: int = 1) -> Catalogue:
    """Return a catalogue of some items.

    Args:
        items: Number of items.
        users: Number of users.
        text_items: Number of items in the content index, which takes 0.4 ms for each: those that users act on first.
        seed: Seed of the random generator.
    """
    rng = np.random.default_rng((seed, items))
    popularity = rng.permutation(1.0 / np.arange(1, items + 1))
    popularity *= _EVENTS_PER_ITEM * items / popularity.sum()
    with _without_collection():
        snapshot = CatalogSnapshot(exact_items=0)
        for number in range(items):
            snapshot.apply_item(_item(number))
        _add_statistics(snapshot, popularity, rng)
        _add_links(snapshot, popularity, rng)
        _add_item_weights(snapshot, popularity, rng)
        people, choices = _users(snapshot, popularity, users, rng)
        _index_texts(snapshot, people, text_items)
    return Catalogue(snapshot, people, choices)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Suspend garbage collection, which would visit millions of new objects again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _item(number: int) -> Item:
    community = number // _COMMUNITY
    return Item(
        item_id=f"item{number:07d}",
        category=f"category {community % _CATEGORIES}",
        title=f"Number {number} of {community}",
        topics=[f"topic {community % _TOPICS}", f"style {number % _STYLES}"],
        created_at=NOW_MS - (number * 7919 % 90) * DAY_MS,
    )


def _add_statistics(snapshot: CatalogSnapshot, popularity: NDArray[np.float64], rng: np.random.Generator) -> None:
    count = len(popularity)
    with np.errstate(divide="ignore"):
        for row in snapshot.horizon_logs:
            row[:count] = np.log(rng.poisson(popularity * rng.uniform(0.05, 1.0)))
        snapshot.cohorts[:count] = np.log(rng.poisson(popularity[:, None] / COHORTS, (count, COHORTS)))
    snapshot.rating_counts[:count] = rng.poisson(popularity / 10)
    snapshot.rating_sums[:count] = snapshot.rating_counts[:count] * rng.uniform(0.4, 0.9, count)
    snapshot.first_at[:count] = snapshot.created_at[:count]
    for number in np.argsort(-popularity)[: min(count, 5_000)].tolist():
        hours = rng.dirichlet(np.ones(HOURS)) * popularity[number]
        weekdays = rng.dirichlet(np.ones(WEEKDAYS)) * popularity[number]
        snapshot.visit_times.put(number, hours.tolist(), weekdays.tolist())
    snapshot.watermark = NOW_MS
    snapshot.is_stale = True


def _add_links(snapshot: CatalogSnapshot, popularity: NDArray[np.float64], rng: np.random.Generator) -> None:
    by_popularity = np.argsort(-popularity).astype(np.int32)
    lengths = np.minimum(np.ceil(4 * popularity), _MOST_LINKS).astype(int)
    for item, length in enumerate(lengths.tolist()):
        others = _draw(np.full(length, item // _COMMUNITY), by_popularity, rng)
        others = np.unique(others[others != item])
        is_near = others // _COMMUNITY == item // _COMMUNITY
        together = np.sqrt(popularity[item] * popularity[others]) * np.where(is_near, 0.2, 0.01)
        together *= rng.gamma(1.0, size=len(others))
        sums = np.stack([together, together * rng.uniform(0.0, 0.2, len(others))])
        snapshot.neighbors.put(item, others, sums, event_count=float(popularity[item]), reference_ms=NOW_MS)


def _add_item_weights(snapshot: CatalogSnapshot, popularity: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Fill in the fitted weights between the most popular items."""
    items = np.argsort(-popularity)[:WEIGHTED_ITEMS].astype(np.int32)
    is_near = items[:, None] // _COMMUNITY == items // _COMMUNITY
    weights = rng.normal(0.0, 0.002, (len(items), len(items))) + np.where(is_near, 0.05, 0.0)
    snapshot.item_weights.fill(items, weights)


def _draw(
    communities: NDArray[np.int64], by_popularity: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return an item for each of some communities: of its own, or popular everywhere."""
    count, size = len(communities), len(by_popularity)
    own = np.minimum(communities * _COMMUNITY + rng.integers(_COMMUNITY, size=count), size - 1)
    anywhere = by_popularity[_zipf(size, count, rng)]
    return np.where(rng.random(count) < _LOYALTY, own, anywhere).astype(np.int32)


def _zipf(ranks: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return random ranks from 0, where rank r has a probability about proportional to 1 / (r + 1)."""
    return np.minimum(np.exp(rng.random(count) * math.log(ranks + 1)).astype(np.int64), ranks) - 1


def _users(
    snapshot: CatalogSnapshot, popularity: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[list[Features], list[str]]:
    by_popularity = np.argsort(-popularity).astype(np.int32)
    people, choices = [], []
    names, communities = snapshot.items.names, len(popularity) // _COMMUNITY
    for number in range(count):
        own = rng.integers(communities, size=2)
        draws = _draw(own[rng.integers(2, size=_HISTORY + 1)], by_popularity, rng).tolist()
        history, choice = [names[item] for item in draws[:-1]], names[draws[-1]]
        labels = [snapshot.labels_by_item[name] for name in history]
        categories: dict[str, float] = {}
        topics: dict[str, float] = {}
        for one in labels:
            categories[one.category] = categories.get(one.category, 0.0) + 1.0
            for topic in one.topics:
                topics[topic] = topics.get(topic, 0.0) + 1.0
        weights = np.where(rng.random(_HISTORY) < 0.5, 1.0, 0.3).tolist()
        people.append(
            Features(
                user_id=f"user{number}",
                version=1,
                watermark=NOW_MS,
                event_count=_HISTORY,
                categories=categories,
                topics=topics,
                recent=[
                    RecentItem(item_id=item, weight=weight, at=NOW_MS - back * _STEP_MS)
                    for back, (item, weight) in enumerate(zip(history, weights, strict=True))
                ],
                seen=history[::-1],
            )
        )
        choices.append(choice)
    return people, choices


def _index_texts(snapshot: CatalogSnapshot, people: list[Features], count: int) -> None:
    """Apply the text index's updates to some items only: the ones that users acted on, and the first of the others."""
    acted_items = [snapshot.items.get(name) for one in people for name in one.seen]
    items = list(dict.fromkeys([*acted_items, *range(len(snapshot.items))]))
    for item in items[max(count, len(set(acted_items))) :]:
        snapshot.content_index.remove(item)
    while snapshot.content_index.catch_up():
        pass
    snapshot.refresh()
