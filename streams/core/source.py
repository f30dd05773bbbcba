"""Where candidates come from: each source names items, for the person or for everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import POPULARITY_EXPONENT, STEP
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.view import NOTHING, Indices, Row, Scores, View

_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Person:
    """Whom is ranked for, and what sources and scorers share of the work. Columns are over all items."""

    features: Features
    likings: tuple[str, ...]
    """Categories the person cares for, most first."""
    likes: NDArray[np.bool_]
    """Whether the person cares for a category, by its number; the last entry stands for no category."""
    links: Scores
    """How strongly each item goes with the person's last ones, as a share of the strongest."""
    via: Indices
    """The newest liked item that brought each item; only where `links` is positive."""


def person(features: Features, view: View, params: RankParams) -> Person:
    """Return what is to be known of a user."""
    stated = [name for name in features.preferred if view.categories.get(name) >= 0]
    found = sorted(
        (name for name, affinity in features.categories.items() if affinity > 0),
        key=lambda name: (-round(features.categories[name], _DIGITS), name),
    )
    likings = tuple(dict.fromkeys([*found[: params.categories], *stated[: params.categories]]))
    likes = np.zeros(len(view.categories) + 1, bool)
    likes[[view.categories.get(name) for name in likings]] = True
    likes[-1] = False
    links, via = _links(features, view)
    return Person(features, likings, likes, links, via)


def neighbors(person: Person, _: View, params: RankParams) -> Indices:
    """Name what goes with the person's last items."""
    linked = np.flatnonzero(person.links)
    most = 2 * params.source_items
    if len(linked) > most:
        strength = person.links[linked]
        linked = linked[strength >= np.partition(strength, -most)[-most]]
    return linked.astype(np.int32)


def trending(_: Person, view: View, params: RankParams) -> Indices:
    """Name what is trending."""
    return view.charts.trending.leaders[: params.source_items]


def popular(person: Person, view: View, params: RankParams) -> Indices:
    """Name what is popular in the categories the person cares for, or overall when none is known."""
    if not person.likings:
        return view.charts.popular.leaders[: params.source_items]
    each = params.source_items // len(person.likings)
    return np.concatenate([view.charts.popular_in.get(name, NOTHING)[:each] for name in person.likings])


def segment(person: Person, view: View, params: RankParams) -> Indices:
    """Name what is popular with the person's demographic group."""
    chart = view.charts.segments.get(person.features.segment)
    return NOTHING if chart is None else chart.leaders[: params.source_items]


def fresh(_: Person, view: View, params: RankParams) -> Indices:
    """Name what entered the catalogue last."""
    return view.charts.fresh.leaders[: params.source_items]


Source = Callable[[Person, View, RankParams], Indices]
SOURCES: tuple[Source, ...] = (neighbors, trending, popular, segment, fresh)


def _links(features: Features, view: View) -> tuple[Scores, Indices]:
    """Add up the rows of the liked items, the newest counting most, and note which brought each item first."""
    count = len(view.charts.order)
    rows: list[tuple[int, float, Row]] = []
    for step, index in enumerate(view.indices(recent.item_id for recent in features.recent if recent.weight > 0)):
        row = view.neighbors[index]
        if row is not None and len(row.items):
            rows.append((int(index), STEP**step, row))
    via = np.full(count, -1, np.int32)
    if not rows:
        return np.zeros(count), via
    found = np.concatenate([row.items for _, _, row in rows])
    votes = np.concatenate([row.scores * share for _, share, row in rows])
    origin = np.repeat(np.array([index for index, _, _ in rows], np.int32), [len(row.items) for _, _, row in rows])
    known = found < count  # rows may name items that came after the charts were drawn
    found, votes, origin = found[known], votes[known], origin[known]
    via[found[::-1]] = origin[::-1]
    links = np.bincount(found, votes, minlength=count)
    heard = np.flatnonzero(links)
    popularity = np.maximum(view.popularity[heard], view.popularity[heard].max(initial=-np.inf) - _SPAN)
    links[heard] *= np.exp((popularity.min(initial=0.0) - popularity) * POPULARITY_EXPONENT)
    return (links / (links.max(initial=0.0) or 1.0)).round(_DIGITS), via


_SPAN = 20.0
"""An item nobody liked counts as this much less popular, in logarithms, than the most popular one found."""
