"""What a candidate is worth: each scorer gives one part of the score, from 0 (or -1) to 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.names import Names
from streams.core.source import Person
from streams.core.view import Indices, Scores, View


def neighbors(items: Indices, person: Person, _: View) -> Scores:
    """Score how strongly items go with the person's last ones."""
    return person.links[items]


def affinity(items: Indices, person: Person, view: View) -> Scores:
    """Score items by the person's affinities to their category and topics, as shares of the strongest."""
    told = person.features
    categories = _column(told.categories, view.categories, told.preferred)
    topics = _column(told.topics, view.topics, told.preferred)
    by_topic = topics[view.item_topics[items]].sum(axis=1).clip(-1.0, 1.0)
    return np.asarray((categories[view.category[items]] + by_topic) / 2)


def trending(items: Indices, _: Person, view: View) -> Scores:
    """Score items by how they trend."""
    return view.charts.trending.scores[items]


def popular(items: Indices, person: Person, view: View) -> Scores:
    """Score items by their popularity in the categories the person cares for, or overall when none is known."""
    if not person.likings:
        return view.charts.popular.scores[items]
    return np.where(person.likes[view.category[items]], view.charts.by_category[items], 0.0)


def segment(items: Indices, person: Person, view: View) -> Scores:
    """Score items by their popularity with the person's demographic group."""
    chart = view.charts.segments.get(person.features.segment)
    return np.zeros(len(items)) if chart is None else chart.scores[items]


def fresh(items: Indices, _: Person, view: View) -> Scores:
    """Score items by how new they are."""
    return view.charts.fresh.scores[items]


Scorer = Callable[[Indices, Person, View], Scores]
SCORERS: Mapping[str, Scorer] = {
    scorer.__name__: scorer for scorer in (neighbors, affinity, trending, popular, segment, fresh)
}
"""By the name of their part; the blend has a weight for each."""


def _column(affinities: Mapping[str, float], names: Names, preferred: Sequence[str]) -> Scores:
    """Return affinities by number, as shares of the strongest; the last entry stands for no name and is 0."""
    column = np.zeros(len(names) + 1)
    strongest = max((abs(affinity) for affinity in affinities.values()), default=0.0)
    if strongest > 0:
        for name, affinity in affinities.items():
            column[names.get(name)] = affinity / strongest
    for name in preferred:
        column[names.get(name)] = 1.0
    column[-1] = 0.0
    return column
