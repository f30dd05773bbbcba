"""The feed as a list of stages: sources, filters, scorers, blend, diversity.

Nothing here depends on the time of day: decayed scores are shares of the best, so the same features and the same view
always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.types import Features, Feed
from streams.core import reason
from streams.core.diversity import spread
from streams.core.params import RankParams
from streams.core.score import SCORERS
from streams.core.source import SOURCES, Person, person
from streams.core.view import Indices, Scores, View

MODEL = "blend-1"
_DIGITS = 9
"""Scores are compared after rounding, so that the order of additions cannot turn a tie into an order."""
_SHORTLIST = 4
"""Feeds' worth of candidates that diversity may choose from."""


def rank(features: Features, view: View, params: RankParams, *, now_ms: int) -> Feed:
    """Return the feed of one user. It is empty only when the catalogue is."""
    whom = person(features, view, params)
    candidates = _unseen(_gather(whom, view, params), whom, view)
    weights = _weights(features, params)
    parts = np.stack([scorer(candidates, whom, view) for scorer in SCORERS.values()])  # (parts, candidates)
    scores = np.nan_to_num((weights @ parts).round(_DIGITS), nan=-np.inf)
    order = _shortlist(candidates, scores, view, most=_SHORTLIST * params.feed_items)
    chosen = spread(order, view.category[candidates[order]], params)
    items, parts = candidates[chosen], weights[:, None] * parts[:, chosen]
    if len(items) < params.feed_items:
        items, parts = _fill(items, parts, whom, view, params)
    sources = reason.leading(list(SCORERS), parts)
    return Feed(
        user_id=features.user_id,
        features_version=features.version,
        generated_at=now_ms,
        watermark=features.watermark,
        model=MODEL,
        items=[view.items.names[index] for index in items.tolist()],
        scores=parts.sum(axis=0).round(_DIGITS).tolist(),
        sources=sources,
        reasons=reason.reasons(items, sources, whom, view),
        parts={name: part.tolist() for name, part in zip(SCORERS, parts, strict=True) if part.any()},
    )


def _gather(whom: Person, view: View, params: RankParams) -> Indices:
    """Ask every source, and keep each item of the catalogue once."""
    named = np.concatenate([source(whom, view, params) for source in SOURCES])
    view.scratch[named] = True
    found = np.flatnonzero(view.scratch[: len(view.charts.order)] & view.listed[: len(view.charts.order)])
    view.scratch[named] = False
    return found.astype(np.int32)


def _unseen(candidates: Indices, whom: Person, view: View) -> Indices:
    """Leave out what the person has acted on or muted."""
    out = view.indices(whom.features.seen)
    if whom.features.muted:
        out = np.concatenate([out, _muted(whom.features.muted, view)])
    view.scratch[out] = True
    kept = candidates[~view.scratch[candidates]]
    view.scratch[out] = False
    return kept


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


def _weights(features: Features, params: RankParams) -> Scores:
    """Return the weight of each part: from the cold blend to the personal one as events come in."""
    events = features.event_count
    personal = events / (events + params.cold_start_threshold) if events else 0.0
    return np.array(
        [personal * getattr(params.personal, name) + (1 - personal) * getattr(params.cold, name) for name in SCORERS]
    )


def _shortlist(candidates: Indices, scores: Scores, view: View, *, most: int) -> NDArray[np.intp]:
    """Return the places of the best candidates, best first, ties by id."""
    places = np.arange(len(candidates))
    if len(candidates) > most:
        places = np.flatnonzero(scores >= np.partition(scores, -most)[-most])
    return places[np.lexsort((view.charts.order[candidates[places]], -scores[places]))]


def _fill(items: Indices, parts: Scores, whom: Person, view: View, params: RankParams) -> tuple[Indices, Scores]:
    """Make the feed long enough: unseen items by popularity, then seen ones again, longest ago first."""
    seen = view.indices(whom.features.seen)
    rest = view.popular_rest()
    more = np.concatenate([rest[~np.isin(rest, seen)], seen[view.listed[seen]]])
    out = np.concatenate([items, _muted(whom.features.muted, view)])
    more = more[~np.isin(more, out)][: params.feed_items - len(items)]
    zeros = np.zeros((len(parts), len(more)))
    return np.concatenate([items, more]).astype(np.int32), np.concatenate([parts, zeros], axis=1)
