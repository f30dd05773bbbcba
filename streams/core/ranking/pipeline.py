"""The feed as a list of stages: candidates, filters, parts, blend, diversity.

Nothing here depends on the wall clock: what is decayed counts as a share of the best, and the time that has passed is
the stream's, so the same features and the same view always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.blend.blender import Blender, Weights
from models.blend.feature_matrix import FeatureMatrix
from schemas.nearby import Spot, spot
from schemas.types import Features, Feed
from streams.core.params import RankParams
from streams.core.ranking import reasons
from streams.core.ranking.calibration import Quota, calibrate, quotas
from streams.core.ranking.candidate_sources import named
from streams.core.ranking.catalog_snapshot import NOTHING, CatalogSnapshot, Column, Indices
from streams.core.ranking.diversity import diversify
from streams.core.ranking.features import FEATURES, PRIOR, SOURCES, feature_matrix, in_order
from streams.core.ranking.ranking_query import CLASSES, DISLIKED, RankingQuery, ranking_query

MODEL = "blend-5"
UNKNOWN = "unknown"
"""The source of items that were given and are not in the catalogue."""
_DIGITS = 6
"""Scores are compared after rounding, so that the order of additions cannot turn a tie into an order."""
_SHORTLIST = 4
"""Feeds' worth of candidates that diversity may choose from."""
_SAMPLED, _SAMPLE_MARGIN = 8, 2
"""Every so-manyth score is looked at, for so many times as many as are wanted."""
_FETCHED, _FETCHED_SHARE = list(FEATURES).index("prefetched"), 0.8
"""The part of having been fetched, and how far from the usual score to the best of the others it lifts."""
_SOURCES_BY_PART = np.array([[float(part.source == source) for part in FEATURES.values()] for source in SOURCES])


def new_blender() -> Blender:
    """Return a blender of the parts that has learned nothing yet."""
    return Blender(PRIOR, CLASSES)


@dataclass(frozen=True, slots=True)
class Candidates:
    """What there is to choose from for a person at a moment."""

    query: RankingQuery
    items: Indices
    admissible: NDArray[np.bool_]
    """Which of the items may be shown."""
    parts: FeatureMatrix
    last: NDArray[np.bool_]
    """Which of them come after all others, whatever they score."""


def build_candidates(features: Features, view: CatalogSnapshot, params: RankParams, *, at_ms: int) -> Candidates:
    """Return the candidates for a user at a time in the stream, with the parts of their scores."""
    whom, columns = ranking_query(features, view, params, at_ms=at_ms), view.columns
    whole = len(columns.listing.listed) <= params.exact_items
    items = columns.listing.every if whole else named(whom, view, params)
    where = slice(None) if whole else items
    admissible = view.listed_for(whom.features.prefetched)
    admissible[_is_removed(whom, view, params)] = False
    if not params.repeats:
        admissible[_within(view.items.encode_known(whom.features.seen), view)] = False
    last = np.zeros(columns.count, bool)
    last[_unplaced(whom.features, view)] = True
    if not params.hides_sold_out:
        last[columns.listing.sold_out] = True
    parts = feature_matrix(whom, view, where, repeats=params.repeats)
    return Candidates(whom, items, admissible[where], parts, last[where])


def _candidates_of(
    names: Sequence[str], features: Features, view: CatalogSnapshot, params: RankParams, *, at_ms: int
) -> Candidates:
    """Return some items of the catalogue, none of them ruled out: what is far away or out of stock comes last."""
    whom = ranking_query(features, view, params, at_ms=at_ms)
    items = _within(np.unique(view.items.encode_known(names)), view)
    items = items[view.listed_for(features.prefetched)[items]]
    last = np.zeros(view.columns.count, bool)
    for some in (_too_far(features, view, params), _unplaced(features, view), view.columns.listing.sold_out):
        last[some] = True
    parts = feature_matrix(whom, view, items, repeats=params.repeats)
    return Candidates(whom, items, np.ones(len(items), bool), parts, last[items])


def weights_for(whom: RankingQuery, blender: Blender) -> Weights:
    """Return (parts,) the weights that rank for a user, in an array of their own: the shared ones plus the user's."""
    shared, own = blender.weights(whom.context), whom.features.weights
    return np.nan_to_num(shared + in_order(own) if own else shared, posinf=0.0, neginf=0.0)


def score(seen: Candidates, weights: Weights) -> Column:
    """Return (items,) scores by (parts,) weights; what may not be shown, or has a score that is no number, has -inf."""
    scores = seen.parts.weighted_sum(weights.astype(np.float32)).round(_DIGITS)
    scores[~(seen.admissible & np.isfinite(scores))] = -np.inf
    return scores


def order(seen: Candidates, scores: Column, view: CatalogSnapshot, params: RankParams) -> NDArray[np.intp]:
    """Return the places of the items that make the feed, best first, then those that come last."""
    if not seen.last.any():
        return _ordered(seen, scores, view, params)
    first, last = (replace(seen, admissible=seen.admissible & some) for some in (~seen.last, seen.last))
    chosen = _ordered(first, np.where(first.admissible, scores, -np.inf), view, params)
    if len(chosen) < params.feed_items:
        chosen = np.concatenate([chosen, _ordered(last, np.where(last.admissible, scores, -np.inf), view, params)])
    return chosen[: params.feed_items]


def _of_interest(share: Quota, seen: Candidates, scores: Column, *, most: int) -> NDArray[np.intp]:
    """Return the places of the best items of an interest that may be shown."""
    places = np.flatnonzero(share.members & seen.admissible)
    return places[np.argsort(-scores[places], kind="stable")[:most]]


def rank(
    features: Features,
    view: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    now_ms: int,
    among: Sequence[str] | None = None,
) -> Feed:
    """Return the feed of one user. It is empty only when the catalogue is.

    With `among` it is these items, each once: all that the catalogue holds, acted on or not, then the others as given.
    """
    at_ms = max(view.watermark, features.watermark)
    if among is None:
        return _feed(build_candidates(features, view, params, at_ms=at_ms), view, blender, params, now_ms=now_ms)
    seen = _candidates_of(among, features, view, params, at_ms=at_ms)
    feed = _feed(seen, view, blender, replace(params, feed_items=len(seen.items)), now_ms=now_ms)
    return _with_unknown(feed, among)


def _feed(seen: Candidates, view: CatalogSnapshot, blender: Blender, params: RankParams, *, now_ms: int) -> Feed:
    whom, weights = seen.query, weights_for(seen.query, blender)
    scores = score(seen, weights)
    if whom.features.prefetched:
        weights[_FETCHED] += _lift_prefetched(seen, scores, view)
    chosen = order(seen, scores, view, params)
    items, told = seen.items[chosen], _by_source(weights, seen.parts.column(chosen))
    sources = reasons.leading(SOURCES, told, _by_source(weights, _usual(seen))) if len(items) else []
    if len(items) < params.feed_items:
        items, told = _fill(items, told, whom, view, params)
        sources += [reasons.FILL] * (len(items) - len(sources))
    return Feed(
        user_id=whom.features.user_id,
        features_version=whom.features.version,
        generated_at=now_ms,
        watermark=whom.features.watermark,
        model=MODEL,
        items=[view.items.names[index] for index in items.tolist()],
        scores=told.sum(axis=0).round(_DIGITS).tolist(),
        sources=sources,
        reasons=reasons.reasons(items, sources, whom, view),
        parts={name: part for name, part in zip(SOURCES, told.tolist(), strict=True) if any(part)},
        trailing=_trailing(seen, chosen, len(items)),
    )


def _trailing(seen: Candidates, chosen: NDArray[np.intp], count: int) -> int:
    """Return how many of the items of a feed come after all others, and after the chosen ones those that fill it up."""
    last = np.flatnonzero(seen.last[chosen])
    return count - int(last[0]) if len(last) else 0


def _lift_prefetched(seen: Candidates, scores: Column, view: CatalogSnapshot) -> float:
    """Raise what was fetched to stand beside the best of the rest, and return by how much.

    No outcome was learned from that had been fetched, so that its weight stays while those of the others grow.
    """
    fetched = np.isin(seen.items, view.items.encode_known(seen.query.features.prefetched)) & seen.admissible
    rest = scores[seen.admissible & ~fetched]
    if not len(rest) or not fetched.any():
        return 0.0
    usual = float(rest.mean())
    wanted = usual + _FETCHED_SHARE * (float(rest.max()) - usual)
    lift = max(wanted - float(scores[fetched].mean()), 0.0)
    scores[fetched] += np.float32(lift)
    return lift


def _with_unknown(feed: Feed, names: Sequence[str]) -> Feed:
    """Return a feed with what it lacks of some names at its end."""
    known = set(feed.items)
    rest = [name for name in dict.fromkeys(names) if name not in known]
    return structs.replace(
        feed,
        items=feed.items + rest,
        scores=feed.scores + [min([0.0, *feed.scores])] * len(rest),
        sources=feed.sources + [UNKNOWN] * len(rest),
        reasons=feed.reasons + ["Not in the catalogue"] * len(rest),
        parts={name: part + [0.0] * len(rest) for name, part in feed.parts.items()},
        trailing=feed.trailing + len(rest) if feed.trailing else 0,
    )


def _usual(seen: Candidates) -> Column:
    """Return (parts, 1): the mean of each part over what may be shown."""
    shares = seen.admissible.astype(np.float32) / np.float32(np.count_nonzero(seen.admissible))
    return seen.parts.expectation(shares)[:, None]


def _by_source(weights: NDArray[np.float64], parts: Column) -> NDArray[np.float64]:
    """Return (sources, items): what each source adds to a score; nothing where that is no number."""
    return np.asarray(_SOURCES_BY_PART @ np.nan_to_num(weights[:, None] * parts, posinf=0.0, neginf=0.0))


def _ordered(seen: Candidates, scores: Column, view: CatalogSnapshot, params: RankParams) -> NDArray[np.intp]:
    best = _shortlist(seen, scores, view, most=_SHORTLIST * params.feed_items)
    shares = quotas(seen.query, seen.items, view, params)
    if shares:
        interests = [_of_interest(share, seen, scores, most=params.feed_items) for share in shares]
        members = np.unique(np.concatenate([best, *interests]))
        best = members[np.lexsort((view.ties[seen.items[members]], -scores[members]))]
        best = calibrate(best, shares, params.feed_items)
    return diversify(best, view.category[seen.items[best]], params)


def _is_removed(whom: RankingQuery, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that the person is not shown, whether or not they have acted on them."""
    out = [_muted(whom.features.muted, view), _too_far(whom.features, view, params), _has_ended(whom, view)]
    if params.hides_sold_out:
        out.append(view.columns.listing.sold_out)
    return _within(np.concatenate(out), view)


def _within(items: Indices, view: CatalogSnapshot) -> Indices:
    """Return the items that the last refresh knew of."""
    return items[items < view.columns.count]


def _spot(told: Features) -> Spot:
    return spot(told.cell, told.city, told.timezone)


def _too_far(told: Features, view: CatalogSnapshot, params: RankParams) -> Indices:
    """Return the items that are tied to places which are not near to the person's."""
    user = _spot(told)
    if not user.is_known:
        return NOTHING
    return view.places.far(view.columns.count, user, radius_km=params.place_radius_km)


def _unplaced(told: Features, view: CatalogSnapshot) -> Indices:
    """Return the items that are tied to a place, for a person of whom none is known."""
    return NOTHING if _spot(told).is_known else view.places.tied(view.columns.count)


def _has_ended(whom: RankingQuery, view: CatalogSnapshot) -> Indices:
    """Return what has taken place."""
    columns = view.columns
    return columns.listing.timed[columns.listing.spans[:, 1] <= whom.local_ms]


def _muted(names: list[str], view: CatalogSnapshot) -> Indices:
    """Return the muted items, and the items of muted categories and topics."""
    if not names:
        return NOTHING
    count = len(view.items)
    hit = np.zeros(count, bool)
    hit[view.items.encode_known(names)] = True
    for name in names:
        category, topic = view.categories.get(name), view.topics.get(name)
        if category >= 0:
            hit |= view.category[:count] == category
        if topic >= 0:
            hit |= (view.item_topics[:count] == topic).any(axis=1)
    return np.flatnonzero(hit).astype(np.int32)


def _shortlist(seen: Candidates, scores: Column, view: CatalogSnapshot, *, most: int) -> NDArray[np.intp]:
    """Return the places of the best items that may be shown, best first, ties by id."""
    if len(scores) > most:
        places = _best(scores, most)
        places = places[seen.admissible[places]]
    else:
        places = np.flatnonzero(seen.admissible)
    return places[np.lexsort((view.ties[seen.items[places]], -scores[places]))]


def _best(scores: Column, most: int) -> NDArray[np.intp]:
    """Return the places of the best scores, with all that equal the last of them.

    A look at a few scores rules most others out, in a third of the time.
    """
    some = scores[::_SAMPLED]
    wanted = _SAMPLE_MARGIN * most // _SAMPLED
    if wanted < len(some):
        places = np.flatnonzero(scores >= np.partition(some, -wanted)[-wanted])
        if len(places) >= most:
            good = scores[places]
            return np.asarray(places[good >= np.partition(good, -most)[-most]])
    return np.flatnonzero(scores >= np.partition(scores, -most)[-most])


def _fill(
    items: Indices, told: NDArray[np.float64], whom: RankingQuery, view: CatalogSnapshot, params: RankParams
) -> tuple[Indices, NDArray[np.float64]]:
    """Fill the feed: unseen items by popularity, then seen ones that were not disliked, longest ago first."""
    seen = view.items.encode_known(whom.features.seen)
    disliked = view.items.encode_known([one.item_id for one in whom.features.recent if one.weight <= DISLIKED])
    rest = view.popular_rest()
    more = np.concatenate([rest[~np.isin(rest, seen)], seen[view.listed[seen]]])
    out = np.concatenate([items, disliked, _is_removed(whom, view, params)])
    more = more[~np.isin(more, out)][: params.feed_items - len(items)]
    zeros = np.zeros((len(told), len(more)))
    return np.concatenate([items, more]).astype(np.int32), np.concatenate([told, zeros], axis=1)
