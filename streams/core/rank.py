"""The feed as a list of stages: candidates, filters, parts, blend, diversity.

Nothing here depends on the wall clock: what is decayed counts as a share of the best, and the time that has passed is
the stream's, so the same features and the same view always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.blender import Blender
from schemas.types import Features, Feed, ModelVersion
from streams.core import reason
from streams.core.diversity import spread
from streams.core.params import RankParams
from streams.core.part import PARTS, PRIOR, SOURCES, parts_of
from streams.core.person import CLASSES, Person, person
from streams.core.source import candidates
from streams.core.view import Column, Indices, View

MODEL = "blend-2"
_DIGITS = 6
"""Scores are compared after rounding, so that the order of additions cannot turn a tie into an order."""
_SHORTLIST = 4
"""Feeds' worth of candidates that diversity may choose from."""
_SOURCES_BY_PART = np.array([[float(part.source == source) for part in PARTS.values()] for source in SOURCES])


def new_blender() -> Blender:
    """Return a blender of the parts that has learned nothing yet."""
    return Blender(PRIOR, CLASSES)


def apply_version(blender: Blender, version: ModelVersion) -> None:
    """Take over the weights of a version that is in service; one that weighs other parts changes nothing."""
    if version.model == MODEL and version.parts == list(blender.parts):
        blender.table = np.array(version.weights).reshape(blender.table.shape)


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to choose from for a person at a moment."""

    whom: Person
    candidates: Indices
    parts: Column
    """(parts, candidates)."""


def look(features: Features, view: View, params: RankParams, *, at_ms: int) -> Look:
    """Return the candidates for a user at a time in the stream, with the parts of their scores."""
    whom = person(features, view, params, at_ms=at_ms)
    found = _admissible(candidates(whom, view, params), whom, view, params)
    return Look(whom, found, parts_of(whom, view, found, repeats=params.repeats))


def order(seen: Look, blender: Blender, view: View, params: RankParams) -> NDArray[np.intp]:
    """Return the places of the candidates that make the feed, best first."""
    scores = (blender.weights(seen.whom.context).astype(np.float32) @ seen.parts).round(_DIGITS)
    best = _shortlist(seen.candidates, scores, view, most=_SHORTLIST * params.feed_items)
    return spread(best, view.category[seen.candidates[best]], params)


def rank(features: Features, view: View, blender: Blender, params: RankParams, *, now_ms: int) -> Feed:
    """Return the feed of one user. It is empty only when the catalogue is."""
    seen = look(features, view, params, at_ms=max(view.watermark, features.watermark))
    whom, chosen = seen.whom, order(seen, blender, view, params)
    weights = blender.weights(whom.context)
    items, told = seen.candidates[chosen], _by_source(weights, seen.parts[:, chosen])
    usual = _by_source(weights, seen.parts.mean(axis=1, keepdims=True)) if len(items) else told
    sources = reason.leading(SOURCES, told, usual) if len(items) else []
    if len(items) < params.feed_items:
        items, told = _fill(items, told, whom, view, params)
        sources += [reason.FILL] * (len(items) - len(sources))
    return Feed(
        user_id=features.user_id,
        features_version=features.version,
        generated_at=now_ms,
        watermark=features.watermark,
        model=MODEL,
        items=[view.items.names[index] for index in items.tolist()],
        scores=told.sum(axis=0).round(_DIGITS).tolist(),
        sources=sources,
        reasons=reason.reasons(items, sources, whom, view),
        parts={name: part.tolist() for name, part in zip(SOURCES, told, strict=True) if part.any()},
    )


def _by_source(weights: NDArray[np.float64], parts: Column) -> NDArray[np.float64]:
    """Return (sources, candidates): what each source adds to a score."""
    return np.asarray(_SOURCES_BY_PART @ (weights[:, None] * parts))


def _admissible(found: Indices, whom: Person, view: View, params: RankParams) -> Indices:
    """Leave out what the person has muted and, unless items are shown again, has acted on."""
    told = whom.features
    out = _muted(told.muted, view) if told.muted else np.empty(0, np.int32)
    if not params.repeats:
        out = np.concatenate([out, view.items.known(told.seen)])
    view.scratch[out] = True
    kept = found[~view.scratch[found]]
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


def _shortlist(items: Indices, scores: Column, view: View, *, most: int) -> NDArray[np.intp]:
    """Return the places of the best candidates, best first, ties by id."""
    places = np.arange(len(items))
    if len(items) > most:
        places = np.flatnonzero(scores >= np.partition(scores, -most)[-most])
    return places[np.lexsort((view.ties[items[places]], -scores[places]))]


def _fill(
    items: Indices, told: NDArray[np.float64], whom: Person, view: View, params: RankParams
) -> tuple[Indices, NDArray[np.float64]]:
    """Make the feed long enough: unseen items by popularity, then seen ones again, longest ago first."""
    seen = view.indices(whom.features.seen)
    rest = view.popular_rest()
    more = np.concatenate([rest[~np.isin(rest, seen)], seen[view.listed[seen]]])
    out = np.concatenate([items, _muted(whom.features.muted, view)])
    more = more[~np.isin(more, out)][: params.feed_items - len(items)]
    zeros = np.zeros((len(told), len(more)))
    return np.concatenate([items, more]).astype(np.int32), np.concatenate([told, zeros], axis=1)
