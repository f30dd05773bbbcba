"""The feed as a list of stages, each in a module of `streams.core.ranking.stages`.

    candidate_sources   SOURCES: the items to consider, in a catalogue too large to score whole
    filters             FILTERS: the items that may not be shown, and those that come last
    features            FEATURES: values for each item, with prior weights, labels and reasons
    models.blend        the weighted sum of the features, with learned weights
    llm_blend           the language model's scores, as one more term
    calibration         each interest's share of the feed
    diversity           the limit of each category
    reasons             the sentence at each item

Nothing here depends on the wall clock: decayed sums count as shares of the strongest, and elapsed time is the stream's.
The same features and the same catalog snapshot therefore always give the same feed, whenever and wherever it is ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from models.blend.blender import Blender, Weights
from models.blend.feature_matrix import FeatureMatrix
from schemas.types import Features, Feed
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS, Column, Indices
from streams.core.ranking.ranking_query import CLASSES, DISLIKED, RankingQuery, ranking_query
from streams.core.ranking.stages.calibration import Quota, calibrate, quotas
from streams.core.ranking.stages.candidate_sources import candidate_items
from streams.core.ranking.stages.diversity import diversify
from streams.core.ranking.stages.features import FEATURES, GROUPS, PRIOR, feature_matrix, weights_in_order
from streams.core.ranking.stages.filters import apply_filters, removed_items, trailing
from streams.core.ranking.stages.llm_blend import CombinedScores, LlmRatings, blended, combine
from streams.core.ranking.stages.reasons import leading_groups, write_reasons

MODEL = "blend-5"
UNKNOWN_ITEM = "unknown"
"""The group of requested items that are not in the catalog."""
_FILL_GROUP = FEATURES["popular"].group.name
"""The group of items without a positive contribution, and of items that only fill up a feed."""
_SHORTLIST = 4
"""Size of the shortlist that diversity chooses from, in feeds."""
_SAMPLED, _SAMPLE_MARGIN = 8, 2
"""Sampling step over the scores, and the factor by which the sample's cut-off is widened."""
_FETCHED, _FETCHED_SHARE = list(FEATURES).index("prefetched"), 0.8
"""The index of the `prefetched` feature, and how far it lifts from the mean score to the best of the other items."""
SELECTION_STEPS = {
    "llm_blend": "scores of the language model",
    "trailing": "items without a known distance or out of stock last",
    "calibration": "stated interests of a newcomer",
    "diversity": "diversity",
}
"""The steps from the scores of the blend to the positions, in their order, with labels for people."""
_FEATURES_BY_GROUP = np.array(
    [[float(feature.group is group) for feature in FEATURES.values()] for group in GROUPS.values()]
)


def new_blender() -> Blender:
    """Return a blender of the ranking features, before any learning."""
    return Blender(PRIOR, CLASSES)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates for a user at a time."""

    query: RankingQuery
    items: Indices
    is_admissible: NDArray[np.bool_]
    """(items,) whether each item may be shown."""
    features: FeatureMatrix
    is_trailing: NDArray[np.bool_]
    """(items,) whether each item comes after all others, regardless of its score."""
    removed_counts: dict[str, int] = field(default_factory=dict)
    """The number of items of the catalog that were removed, by filter."""


def stream_time_ms(features: Features, catalog: CatalogSnapshot) -> int:
    """Return the time in the stream at which a user is ranked, in ms since the epoch: that of the newest event.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
    """
    return max(catalog.watermark, features.watermark)


def build_candidates(features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int) -> Candidates:
    """Return the candidates for a user at a time in the stream, with their features.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
        at_ms: The stream's time, in ms since the epoch.
    """
    query, columns = ranking_query(features, catalog, params, at_ms=at_ms), catalog.columns
    is_exact = len(columns.listing.listed_items) <= params.exact_items
    items = columns.listing.all_items if is_exact else candidate_items(query, catalog, params)
    where = slice(None) if is_exact else items
    filter_result = apply_filters(query, catalog, params)
    matrix = feature_matrix(query, catalog, where)
    last = trailing(query, catalog, params)[where]
    return Candidates(query, items, filter_result.is_kept[where], matrix, last, filter_result.removed_counts)


def _candidates_of(
    names: Sequence[str], features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int
) -> Candidates:
    """Return given items of the catalog as candidates, none of them filtered: distant or sold-out items come last."""
    query = ranking_query(features, catalog, params, at_ms=at_ms)
    items = np.unique(catalog.items.encode_known(names))
    items = items[items < catalog.columns.count]
    items = items[catalog.visible_to(features.prefetched)[items]]
    last = trailing(query, catalog, params, is_filtered=False)[items]
    matrix = feature_matrix(query, catalog, items)
    return Candidates(query, items, np.ones(len(items), bool), matrix, last)


def weights_for(query: RankingQuery, blender: Blender) -> Weights:
    """Return (features,) weights for a user: the shared ones that serve, and the user's own, in a new array.

    Args:
        query: The ranking query of the user.
        blender: The shared weights.
    """
    own = query.features.weights
    weights = blender.serving_weights(query.context, weights_in_order(own) if own else None)
    return np.nan_to_num(weights, posinf=0.0, neginf=0.0)


def score(candidates: Candidates, weights: Weights) -> Column:
    """Return (items,) scores; -inf for an item that may not be shown, or whose score is not finite.

    Args:
        candidates: The candidates.
        weights: (features,) weights.
    """
    scores = candidates.features.weighted_sum(weights.astype(np.float32)).round(SCORE_DIGITS)
    scores[~(candidates.is_admissible & np.isfinite(scores))] = -np.inf
    return scores


def order(candidates: Candidates, scores: Column, catalog: CatalogSnapshot, params: RankParams) -> NDArray[np.intp]:
    """Return the indices of the items that make the feed, best first, then the trailing items.

    Args:
        candidates: The candidates.
        scores: (items,) scores of the candidates.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    if not candidates.is_trailing.any():
        return _ordered(candidates, scores, catalog, params)
    first, last = (
        replace(candidates, is_admissible=candidates.is_admissible & some)
        for some in (~candidates.is_trailing, candidates.is_trailing)
    )
    selection = _ordered(first, np.where(first.is_admissible, scores, -np.inf), catalog, params)
    if len(selection) < params.max_recommendations:
        selection = np.concatenate(
            [selection, _ordered(last, np.where(last.is_admissible, scores, -np.inf), catalog, params)]
        )
    return selection[: params.max_recommendations]


def _of_interest(share: Quota, candidates: Candidates, scores: Column, *, most: int) -> NDArray[np.intp]:
    """Return the indices of the best admissible items of an interest."""
    indices = np.flatnonzero(share.members & candidates.is_admissible)
    return indices[np.argsort(-scores[indices], kind="stable")[:most]]


def rank(
    features: Features,
    catalog: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    now_ms: int,
    llm: LlmRatings | None = None,
    among: Sequence[str] | None = None,
) -> Feed:
    """Return the feed of one user. It is empty only if the catalog is.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
        blender: The shared weights.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
        llm: The language model's scores for the user, if there are any.
        among: Ids of the items to rank, each once; the user's past actions exclude none. Items that are not in the
            catalog follow in the given order. None ranks the whole catalog.
    """
    at_ms = stream_time_ms(features, catalog)
    if among is None:
        candidates = build_candidates(features, catalog, params, at_ms=at_ms)
        return rank_candidates(candidates, catalog, blender, params, now_ms=now_ms, llm=llm)
    candidates = _candidates_of(among, features, catalog, params, at_ms=at_ms)
    whole = replace(params, max_recommendations=len(candidates.items))
    feed = rank_candidates(candidates, catalog, blender, whole, now_ms=now_ms, llm=llm)
    return _with_unknown(feed, among)


def rank_candidates(
    candidates: Candidates,
    catalog: CatalogSnapshot,
    blender: Blender,
    params: RankParams,
    *,
    now_ms: int,
    llm: LlmRatings | None = None,
) -> Feed:
    """Return the feed of one user, from the user's candidates.

    Args:
        candidates: The candidates.
        catalog: The catalog snapshot, as it was when they were built.
        blender: The shared weights.
        params: The parameters of the ranking.
        now_ms: The time of generation, in ms since the epoch.
        llm: The language model's scores for the user, if there are any.
    """
    query, weights = candidates.query, weights_for(candidates.query, blender)
    scores = score(candidates, weights)
    if query.features.prefetched:
        scores, weights = lifted(candidates, scores, weights, catalog)
    combined_scores = None if llm is None else _combined(candidates, scores, llm, catalog, params)
    selection = order(candidates, scores if combined_scores is None else combined_scores.total, catalog, params)
    items, contributions = candidates.items[selection], _by_group(weights, candidates.features.column(selection))
    groups = _leading_groups(candidates, weights, contributions) if len(items) else []
    if len(items) < params.max_recommendations:
        items, contributions = _fill(items, contributions, query, catalog, params)
        groups += [_FILL_GROUP] * (len(items) - len(groups))
    feed = Feed(
        user_id=query.features.user_id,
        features_version=query.features.version,
        generated_at=now_ms,
        watermark=query.features.watermark,
        model=MODEL,
        items=[catalog.items.names[index] for index in items.tolist()],
        scores=contributions.sum(axis=0).round(SCORE_DIGITS).tolist(),
        sources=groups,
        reasons=write_reasons(items, [GROUPS[name].reason for name in groups], query, catalog),
        parts={name: values for name, values in zip(GROUPS, contributions.tolist(), strict=True) if any(values)},
        trailing=_trailing(candidates, selection, len(items)),
    )
    return feed if llm is None or combined_scores is None else blended(feed, combined_scores, selection, llm.scores)


def _leading_groups(candidates: Candidates, weights: Weights, contributions: NDArray[np.float64]) -> list[str]:
    baseline = _by_group(weights, _mean_features(candidates))
    return leading_groups(list(GROUPS), contributions, baseline, default=_FILL_GROUP)


def _combined(
    candidates: Candidates, scores: Column, llm: LlmRatings, catalog: CatalogSnapshot, params: RankParams
) -> CombinedScores | None:
    """Return the scores combined with the language model's; None if it has scored no admissible candidate."""
    column = llm.column(candidates.items, catalog)
    if not (np.isfinite(column) & np.isfinite(scores)).any():
        return None
    return combine(scores, column, llm.weights, feed_items=params.max_recommendations)


def lifted(
    candidates: Candidates, scores: Column, weights: Weights, catalog: CatalogSnapshot
) -> tuple[Column, Weights]:
    """Return scores and weights with the lift of prefetched items, in new arrays.

    Args:
        candidates: The candidates.
        scores: (items,) scores of the candidates.
        weights: (features,) weights behind the scores.
        catalog: The catalog snapshot.
    """
    prefetched_items = catalog.items.encode_known(candidates.query.features.prefetched)
    is_prefetched = np.isin(candidates.items, prefetched_items) & candidates.is_admissible
    lift = _prefetched_lift(scores, is_prefetched, candidates.is_admissible & ~is_prefetched)
    new_weights = weights.copy()
    new_weights[_FETCHED] += lift
    return np.where(is_prefetched, scores + np.float32(lift), scores), new_weights


def _trailing(candidates: Candidates, selection: NDArray[np.intp], count: int) -> int:
    """Return the number of trailing items of a feed, including items that fill it up after them."""
    last = np.flatnonzero(candidates.is_trailing[selection])
    return count - int(last[0]) if len(last) else 0


def _prefetched_lift(scores: Column, is_prefetched: NDArray[np.bool_], others: NDArray[np.bool_]) -> float:
    """Return the amount that raises the scores of prefetched items to the level of the best others.

    The blender never learns from outcomes on prefetched items, so their weight stays the same while other weights grow.
    """
    rest = scores[others]
    if not len(rest) or not is_prefetched.any():
        return 0.0
    mean = float(rest.mean())
    target = mean + _FETCHED_SHARE * (float(rest.max()) - mean)
    return max(target - float(scores[is_prefetched].mean()), 0.0)


def _with_unknown(feed: Feed, names: Sequence[str]) -> Feed:
    """Return a feed with the names it lacks appended."""
    feed_items = set(feed.items)
    rest = [name for name in dict.fromkeys(names) if name not in feed_items]
    return structs.replace(
        feed,
        items=feed.items + rest,
        scores=feed.scores + [min([0.0, *feed.scores])] * len(rest),
        sources=feed.sources + [UNKNOWN_ITEM] * len(rest),
        reasons=feed.reasons + ["Not in the catalogue"] * len(rest),
        parts={name: values + [0.0] * len(rest) for name, values in feed.parts.items()},
        trailing=feed.trailing + len(rest) if feed.trailing else 0,
    )


def _mean_features(candidates: Candidates) -> Column:
    """Return (features, 1): the mean of each feature over the admissible items."""
    shares = candidates.is_admissible.astype(np.float32) / np.float32(np.count_nonzero(candidates.is_admissible))
    return candidates.features.expectation(shares)[:, None]


def _by_group(weights: NDArray[np.float64], features: Column) -> NDArray[np.float64]:
    """Return (groups, items): the contribution of each feature group to a score; 0 where it is not finite."""
    return np.asarray(_FEATURES_BY_GROUP @ np.nan_to_num(weights[:, None] * features, posinf=0.0, neginf=0.0))


def _ordered(candidates: Candidates, scores: Column, catalog: CatalogSnapshot, params: RankParams) -> NDArray[np.intp]:
    best = _shortlist(candidates, scores, catalog, most=_SHORTLIST * params.max_recommendations)
    shares = quotas(candidates.query, candidates.items, catalog, params)
    if shares:
        interests = [_of_interest(share, candidates, scores, most=params.max_recommendations) for share in shares]
        members = np.unique(np.concatenate([best, *interests]))
        best = members[np.lexsort((catalog.tie_breakers[candidates.items[members]], -scores[members]))]
        best = calibrate(best, shares, params.max_recommendations)
    return diversify(best, catalog.category[candidates.items[best]], params)


def _shortlist(candidates: Candidates, scores: Column, catalog: CatalogSnapshot, *, most: int) -> NDArray[np.intp]:
    """Return the indices of the best admissible items, best first, ties by id."""
    if len(scores) > most:
        indices = _best(scores, most)
        indices = indices[candidates.is_admissible[indices]]
    else:
        indices = np.flatnonzero(candidates.is_admissible)
    return indices[np.lexsort((catalog.tie_breakers[candidates.items[indices]], -scores[indices]))]


def _best(scores: Column, most: int) -> NDArray[np.intp]:
    """Return the indices of the best scores, including all ties with the last of them.

    A sample of the scores rules most others out, in a third of the time.
    """
    sample = scores[::_SAMPLED]
    sample_rank = _SAMPLE_MARGIN * most // _SAMPLED
    if sample_rank < len(sample):
        indices = np.flatnonzero(scores >= np.partition(sample, -sample_rank)[-sample_rank])
        if len(indices) >= most:
            good = scores[indices]
            return np.asarray(indices[good >= np.partition(good, -most)[-most]])
    return np.flatnonzero(scores >= np.partition(scores, -most)[-most])


def _fill(
    items: Indices,
    contributions: NDArray[np.float64],
    query: RankingQuery,
    catalog: CatalogSnapshot,
    params: RankParams,
) -> tuple[Indices, NDArray[np.float64]]:
    """Fill up the feed: unseen items by popularity, then seen ones that were not disliked, longest ago first."""
    seen_items = catalog.items.encode_known(query.features.seen)
    dislikes = catalog.items.encode_known([one.item_id for one in query.features.recent if one.weight <= DISLIKED])
    rest = catalog.by_popularity()
    more = np.concatenate([rest[~np.isin(rest, seen_items)], seen_items[catalog.is_listed[seen_items]]])
    out = np.concatenate([items, dislikes, removed_items(query, catalog, params, without={"seen"})])
    more = more[~np.isin(more, out)][: params.max_recommendations - len(items)]
    zeros = np.zeros((len(contributions), len(more)))
    return np.concatenate([items, more]).astype(np.int32), np.concatenate([contributions, zeros], axis=1)
