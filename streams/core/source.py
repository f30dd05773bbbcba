"""Where candidates come from once the catalogue is too large to score whole: each source names items.

The person's sources read what the tables say of the history; the others are charts, drawn anew a few times a second.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from streams.core.params import RankParams
from streams.core.person import Person
from streams.core.view import NOTHING, Column, Indices, View


def voted(whom: Person, _: View, params: RankParams) -> Indices:
    """Name what goes with the person's last items, by each of the tables."""
    return np.concatenate([_best(votes, params.source_items) for votes in whom.votes])


def again(whom: Person, view: View, params: RankParams) -> Indices:
    """Name what the person acted on before, where items are shown again."""
    return view.items.known(whom.features.seen) if params.repeats else NOTHING


def trending(whom: Person, view: View, params: RankParams) -> Indices:
    """Name what is trending, overall and in the categories the person cares for."""
    each = params.source_items // (2 * len(whom.likings) or 1)
    found = [view.charts.trending_in.get(name, NOTHING)[:each] for name in whom.likings]
    return np.concatenate([view.charts.trending.leaders[: params.source_items], *found])


def popular(whom: Person, view: View, params: RankParams) -> Indices:
    """Name what is popular overall and in the categories the person cares for."""
    each = params.source_items // (len(whom.likings) or 1)
    found = [view.charts.popular_in.get(name, NOTHING)[:each] for name in whom.likings]
    return np.concatenate([view.charts.popular.leaders[: params.source_items], *found])


def segment(whom: Person, view: View, params: RankParams) -> Indices:
    """Name what is popular with the person's demographic group."""
    chart = view.charts.segments.get(whom.features.segment)
    return NOTHING if chart is None else chart.leaders[: params.source_items]


def fresh(_: Person, view: View, params: RankParams) -> Indices:
    """Name what entered the catalogue last."""
    return view.charts.fresh.leaders[: params.source_items]


Source = Callable[[Person, View, RankParams], Indices]
SOURCES: tuple[Source, ...] = (voted, again, trending, popular, segment, fresh)


def candidates(whom: Person, view: View, params: RankParams) -> Indices:
    """Return the items to score: the whole catalogue while it is small, else what the sources name, each once."""
    listed = view.columns.listed
    if len(listed) <= params.exact_items:
        return listed
    named = np.concatenate([source(whom, view, params) for source in SOURCES])
    view.scratch[named] = True
    found = listed[view.scratch[listed]]
    view.scratch[named] = False
    return found


def _best(votes: Column, most: int) -> Indices:
    found = np.flatnonzero(votes > 0)
    if len(found) > most:
        found = found[np.argpartition(-votes[found], most)[:most]]
    return found.astype(np.int32)
