"""The feed as a list of stages: sources, filters, scorers, blend, diversity.

Nothing here depends on the time of day: decayed scores are shares of the best, so the same features and the same view
always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.types import Features, Feed
from streams.core import reason
from streams.core.diversity import spread
from streams.core.params import Blend, RankParams
from streams.core.source import SOURCES, Person, person
from streams.core.view import Indices, Leaders, Names, Scores, View

MODEL = "blend-1"
_DIGITS = 9
"""Scores are compared after rounding, so that the order of additions cannot turn a tie into an order."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items to choose from, the parts of their scores and the liked items that brought them, all of one length."""

    items: Indices
    parts: dict[str, Scores]
    via: Indices

    def take(self, places: NDArray[Any]) -> Candidates:
        """Return those at some places, or where a mask holds."""
        return Candidates(self.items[places], {n: part[places] for n, part in self.parts.items()}, self.via[places])


def rank(features: Features, view: View, params: RankParams, *, now_ms: int) -> Feed:
    """Return the feed of one user. It is empty only when the catalogue is."""
    whom = person(features, view, params)
    candidates = _unseen(_gather(whom, view, params), whom, view)
    candidates = _weigh(candidates, _blend(features, params))
    order = _order(candidates, view)
    chosen = candidates.take(spread(order, view.category[candidates.items[order]], params))
    if len(chosen.items) < params.feed_items:
        chosen = _fill(chosen, whom, view, params)
    sources = reason.leading(chosen.parts, len(chosen.items))
    return Feed(
        user_id=features.user_id,
        features_version=features.version,
        generated_at=now_ms,
        watermark=features.watermark,
        model=MODEL,
        items=[view.items.names[index] for index in chosen.items.tolist()],
        scores=_total(chosen).tolist(),
        sources=sources,
        reasons=reason.reasons(chosen.items, sources, chosen.via, whom, view),
        parts={name: part.tolist() for name, part in chosen.parts.items() if part.any()},
    )


def _gather(whom: Person, view: View, params: RankParams) -> Candidates:
    """Ask every source, and keep each item once with what each source says of it."""
    found = {name: source(whom, view, params) for name, source in SOURCES.items()}
    items = np.unique(np.concatenate([leaders.items for leaders in found.values()])).astype(np.int32)
    items = items[view.listed[items]]
    parts: dict[str, Scores] = {}
    for name, leaders in found.items():
        part = np.zeros(len(items))
        listed = view.listed[leaders.items]
        part[np.searchsorted(items, leaders.items[listed])] = leaders.scores[listed]
        parts[name] = part
    return Candidates(items, parts | {"affinity": _affinity(items, whom, view)}, _via(items, found["neighbors"]))


def _via(items: Indices, brought: Leaders) -> Indices:
    """Return the liked item that brought each item, or -1."""
    via = np.full(len(items), -1, np.int32)
    if brought.via is not None:
        at = np.searchsorted(items, brought.items).clip(max=len(items) - 1)
        same = items[at] == brought.items
        via[at[same]] = brought.via[same]
    return via


def _affinity(items: Indices, whom: Person, view: View) -> Scores:
    """Score items by the person's affinities to their category and topics, as shares of the strongest."""
    categories = _column(whom.features.categories, view.categories, whom.features.preferred)
    topics = _column(whom.features.topics, view.topics, whom.features.preferred)
    by_topic = topics[view.item_topics[items]].sum(axis=1).clip(-1.0, 1.0)
    affinity: Scores = (categories[view.category[items]] + by_topic) / 2
    return affinity


def _column(affinities: dict[str, float], names: Names, preferred: list[str]) -> Scores:
    column = np.zeros(len(names) + 1)  # one more, so that -1 (no name) reads as 0
    strongest = max((abs(affinity) for affinity in affinities.values()), default=0.0)
    if strongest > 0:
        for name, affinity in affinities.items():
            column[names.get(name)] = affinity / strongest
    for name in preferred:
        column[names.get(name)] = max(column[names.get(name)], 1.0)
    column[-1] = 0.0
    return column


def _unseen(candidates: Candidates, whom: Person, view: View) -> Candidates:
    """Leave out what the person has acted on or muted."""
    out = view.indices(whom.features.seen)
    if whom.features.muted:
        out = np.concatenate([out, _muted(whom.features.muted, view)])
    view.scratch[out] = True
    keep = ~view.scratch[candidates.items]
    view.scratch[out] = False
    return candidates.take(keep)


def _muted(names: list[str], view: View) -> Indices:
    """Return the muted items, and the items of muted categories and topics."""
    count = len(view.items)
    hit = np.zeros(count, bool)
    hit[view.indices(names)] = True
    for name in names:
        category, topic = view.categories.get(name), view.topics.get(name)
        if category >= 0:
            hit |= view.category[:count] == category
        if topic >= 0:
            hit |= (view.item_topics[:count] == topic).any(axis=1)
    return np.flatnonzero(hit).astype(np.int32)


def _blend(features: Features, params: RankParams) -> dict[str, float]:
    """Return the weight of each part: from the cold blend to the personal one as events come in."""
    events = features.event_count
    personal = events / (events + params.cold_start_threshold) if events else 0.0
    return {
        name: personal * getattr(params.personal, name) + (1 - personal) * getattr(params.cold, name)
        for name in Blend.__slots__
    }


def _weigh(candidates: Candidates, weights: dict[str, float]) -> Candidates:
    parts = {name: (part * weights[name]).round(_DIGITS) for name, part in candidates.parts.items()}
    return Candidates(candidates.items, parts, candidates.via)


def _total(candidates: Candidates) -> Scores:
    total: Scores = np.sum(list(candidates.parts.values()), axis=0)
    return total.round(_DIGITS)


def _order(candidates: Candidates, view: View) -> NDArray[np.intp]:
    """Return the candidates' places, best first: non-finite scores last, ties by id."""
    scores = _total(candidates)
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    return np.lexsort((view.lists.order[candidates.items], -scores))


def _fill(chosen: Candidates, whom: Person, view: View, params: RankParams) -> Candidates:
    """Make the feed long enough: unseen items by popularity, then seen ones again, longest ago first."""
    seen = view.indices(whom.features.seen)
    rest = view.popular_rest()
    more = np.concatenate([rest[~np.isin(rest, seen)], seen[view.listed[seen]]])
    out = np.concatenate([chosen.items, _muted(whom.features.muted, view)])
    more = more[~np.isin(more, out)][: params.feed_items - len(chosen.items)]
    zeros = np.zeros(len(more))
    return Candidates(
        np.concatenate([chosen.items, more]).astype(np.int32),
        {name: np.concatenate([part, zeros]) for name, part in chosen.parts.items()},
        np.concatenate([chosen.via, np.full(len(more), -1, np.int32)]),
    )
