"""Where candidates come from: each source names items, for the person or for everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cooccurrence import POPULARITY_EXPONENT, STEP
from schemas.types import Features
from streams.core.params import RankParams
from streams.core.view import NOTHING, Indices, Scores, View

_DIGITS = 9
_LIKED_ITEMS = 20
"""Last liked items whose rows are asked; the one before counts a hundredth of the newest."""
_SPAN = 20.0
"""An item nobody liked counts as this much less popular, in logarithms, than the most popular one found."""


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


def trending(person: Person, view: View, params: RankParams) -> Indices:
    """Name what is trending, overall and in the categories the person cares for."""
    each = params.source_items // (2 * len(person.likings) or 1)
    found = [view.charts.trending_in.get(name, NOTHING)[:each] for name in person.likings]
    return np.concatenate([view.charts.trending.leaders[: params.source_items], *found])


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
    liked = view.indices(recent.item_id for recent in features.recent if recent.weight > 0)[:_LIKED_ITEMS]
    rows = view.neighbors[liked]  # (liked, neighbors)
    rows = np.where((rows < 0) | (rows >= count), count, rows)  # one more entry takes what is no item of the charts
    votes = view.neighbor_scores[liked] * (STEP ** np.arange(len(liked)))[:, None]
    via = np.full(count + 1, -1, np.int32)
    via[rows[::-1].ravel()] = np.repeat(liked[::-1], rows.shape[1])
    links: Scores = np.bincount(rows.ravel(), votes.ravel(), minlength=count + 1)[:count].astype(np.float64)
    found = np.flatnonzero(links)
    if len(found):
        popularity = view.popularity[found]
        popularity = np.maximum(popularity, popularity.max() - _SPAN)
        links[found] *= np.exp((popularity.min() - popularity) * POPULARITY_EXPONENT)
        links = (links / links.max()).round(_DIGITS)
    return links, via
