"""Where candidates come from. A source is a function of the person and the view; its name is its part of the score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.cooccurrence import POPULARITY_EXPONENT, STEP
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.view import NOBODY, Indices, Leaders, View


@dataclass(frozen=True, slots=True)
class Person:
    """Whom is ranked for, and what the sources share of the work."""

    features: Features
    liked: Indices
    """Last items that were not disliked, newest first."""
    likings: tuple[str, ...]
    """Categories the person cares for, most first."""


def person(features: Features, view: View, params: RankParams) -> Person:
    """Return what the sources need to know of a user."""
    stated = [name for name in features.preferred if view.categories.get(name) >= 0]
    found = sorted(
        (name for name, affinity in features.categories.items() if affinity > 0),
        key=lambda name: (-round(features.categories[name], 9), name),
    )
    likings = tuple(dict.fromkeys([*found[: params.categories], *stated[: params.categories]]))
    liked = view.indices(recent.item_id for recent in features.recent if recent.weight > 0)
    return Person(features, liked, likings)


def neighbors(person: Person, view: View, _: RankParams) -> Leaders:
    """Bring what goes with the last items, the newest counting most."""
    rows = [
        (row, STEP**step, index)
        for step, index in enumerate(person.liked.tolist())
        if (row := view.neighbors[index]) is not None and len(row.items)
    ]
    if not rows:
        return NOBODY
    found = np.concatenate([row.items for row, _, _ in rows])
    votes = np.concatenate([row.scores * share for row, share, _ in rows])
    items, first, where = np.unique(found, return_index=True, return_inverse=True)
    via = np.repeat(np.array([index for _, _, index in rows], np.int32), [len(row.items) for row, _, _ in rows])[first]
    sums = np.bincount(where, votes)
    popularity = view.popularity[items]
    known = np.isfinite(popularity)
    if known.any():
        sums[known] *= np.exp((popularity[known].min() - popularity[known]) * POPULARITY_EXPONENT)
    return Leaders(items, sums / sums.max(), via)


def trending(_: Person, view: View, params: RankParams) -> Leaders:
    """Bring what is trending overall."""
    return _first(view.lists.trending, params.source_items)


def popular(person: Person, view: View, params: RankParams) -> Leaders:
    """Bring what is popular in the categories the person cares for, and overall when none is known."""
    lists = [view.lists.popular_in.get(name, NOBODY) for name in person.likings]
    if not any(len(leaders.items) for leaders in lists):
        return _first(view.lists.popular, params.source_items)
    each = params.source_items // len(lists)
    return Leaders(
        np.concatenate([leaders.items[:each] for leaders in lists]),
        np.concatenate([leaders.scores[:each] for leaders in lists]),
    )


def segment(person: Person, view: View, params: RankParams) -> Leaders:
    """Bring what is popular with the person's demographic group."""
    return _first(view.lists.segment.get(person.features.segment, NOBODY), params.source_items)


def fresh(_: Person, view: View, params: RankParams) -> Leaders:
    """Bring what entered the catalogue last."""
    return _first(view.lists.fresh, params.source_items)


def _first(leaders: Leaders, most: int) -> Leaders:
    return Leaders(leaders.items[:most], leaders.scores[:most])


Source = Callable[[Person, View, RankParams], Leaders]

SOURCES: dict[str, Source] = {
    "neighbors": neighbors,
    "trending": trending,
    "popular": popular,
    "segment": segment,
    "fresh": fresh,
}
