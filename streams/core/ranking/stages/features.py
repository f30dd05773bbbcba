"""Ranking features: each one scores candidates by one kind of evidence, and is 0 without evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.blend.blender import Weights
from models.blend.feature_matrix import FeatureMatrix, rows_of
from models.vocabulary import Vocabulary
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.event_time import recency_score
from streams.core.ranking.catalog.item_columns import GLOBAL_FEATURES, SCORE_DIGITS, Column, Scores, Where
from streams.core.ranking.ranking_query import ITEM_ITEM_FEATURES, RankingQuery

_LATELY = ((0, 1), (1, 2), (2, 3), (3, 6), (6, 20))
"""Ranges of steps back in the history in which an item was last acted on: a feature for each."""
_PRIOR_EVIDENCE = 2.0
"""Prior evidence for no category or topic in particular, as of two clicks."""
_FOLLOWED_STEP = 0.8
"""Weight of an earlier visit to an item relative to the next visit."""


def affinity(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the user's affinities to their category and topics, as shares of the strongest.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    features, columns = query.features, catalog.columns
    if not (features.categories or features.topics or features.preferred):
        return columns.listing.zeros[where]
    categories = _column(features.categories, catalog.categories, features.preferred)
    topics = _column(features.topics, catalog.topics, features.preferred)
    return catalog.item_type_index.scores(categories, topics).astype(np.float32)[columns.listing.item_types[where]]


def segment(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by popularity in the user's demographic group, with a weight that falls as the user's events add up.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    column = catalog.columns.segment(query.features.segment)
    return (
        catalog.columns.listing.zeros[where] if column is None else column[where] * np.float32(query.cold_start_weight)
    )


def again(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the number of the user's actions on them, as ln(1 + actions).

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    scores = np.zeros(catalog.columns.count, np.float32)
    items = catalog.items.encode_known(query.features.seen)
    scores[items[items < len(scores)]] = np.float32(np.log(2.0))
    for item, visits in query.features.visits.items():
        index = catalog.items.get(item)
        if 0 <= index < len(scores):
            scores[index] = np.log1p(visits)
    return scores[where]


def prefetched(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items that were prefetched for the user as 1.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    if not query.features.prefetched:
        return catalog.columns.listing.zeros[where]
    scores = np.zeros(catalog.columns.count, np.float32)
    items = catalog.items.encode_known(query.features.prefetched)
    scores[items[items < len(scores)]] = 1.0
    return scores[where]


def recently_interacted(start: int, end: int) -> Callable[[RankingQuery, CatalogSnapshot, Where], Column]:
    """Return the feature of items last acted on within a range of steps back in the history.

    Args:
        start: The first step back, 0 for the newest event.
        end: The step after the last.
    """

    def _feature(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
        scores = np.zeros(catalog.columns.count, np.float32)
        scores[query.history[start:end]] = 1.0
        scores[query.history[:start]] = 0.0
        return scores[where]

    return _feature


def followed(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the user's transitions: the items that followed earlier visits to the last item, the newest most.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    scores = np.zeros(catalog.columns.count, np.float32)
    after = np.flatnonzero(query.history[1:] == query.history[:1])  # the step after each earlier visit
    scores[query.history[after][::-1]] = _FOLLOWED_STEP ** np.arange(len(after))[::-1]  # the newest wins
    return scores[where]


def starts_soon(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items with an event time by its proximity.

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    columns = catalog.columns
    if not len(columns.listing.timed):
        return columns.listing.zeros[where]
    scores = np.zeros(columns.count, np.float32)
    scores[columns.listing.timed] = recency_score(columns.listing.spans[:, 0], query.local_ms)
    return scores[where]


FeatureFunction = Callable[[RankingQuery, CatalogSnapshot, Where], Column]


@dataclass(frozen=True, slots=True)
class RankingFeature:
    """One feature: the source under which it is reported, and its weight before any learning."""

    source: str
    prior: float
    compute: FeatureFunction | None = None
    """Scores items for a user; None for a feature that is a row of a shared block."""
    needs_repeats: bool = False
    """Whether the feature applies only where repeats are allowed."""


FEATURES: Mapping[str, RankingFeature] = {
    "near": RankingFeature("neighbors", 0.9),
    "near_heard": RankingFeature("neighbors", 0.9),
    "far_heard": RankingFeature("neighbors", 0.1),
    "last": RankingFeature("neighbors", 0.0),
    "last_heard": RankingFeature("neighbors", 0.0),
    "next": RankingFeature("neighbors", 0.2),
    "next_heard": RankingFeature("neighbors", 0.1),
    "taste": RankingFeature("taste", 0.1),
    "taste_heard": RankingFeature("taste", 0.05),
    "far_taste": RankingFeature("taste", 0.3),
    "affinity": RankingFeature("affinity", 1.0, affinity),
    "trending": RankingFeature("trending", 0.05),
    "day": RankingFeature("trending", 0.0),
    "week": RankingFeature("popular", 0.0),
    "popular": RankingFeature("popular", 0.3),
    "lasting": RankingFeature("popular", 0.0),
    "cohort": RankingFeature("popular", 0.1, lambda query, catalog, where: catalog.columns.cohort(query.cohort)[where]),
    "segment": RankingFeature("segment", 0.5, segment),
    "rated": RankingFeature("rated", 1.0),
    "fresh": RankingFeature("fresh", 0.3),
    "soon": RankingFeature("soon", 1.0, starts_soon),
    "prefetched": RankingFeature("prefetched", 3.0, prefetched),
    "again": RankingFeature("again", 1.0, again, needs_repeats=True),
    "followed": RankingFeature("again", 0.5, followed, needs_repeats=True),
    **{
        f"lately_{start}": RankingFeature("again", 0.5, recently_interacted(start, end), needs_repeats=True)
        for start, end in _LATELY
    },
}
"""Features by name; the blender has weights for each."""
PRIOR = {name: feature.prior for name, feature in FEATURES.items()}
_MIN_WEIGHT = 1e-4
"""Magnitude below which a personal weight is not stored."""
SOURCES = tuple(dict.fromkeys(feature.source for feature in FEATURES.values()))
"""Groups of features under which contributions are reported, since the features are too many to report one by one."""
_HISTORY_NAMES = [*ITEM_ITEM_FEATURES, *(f"{name}_heard" for name in ITEM_ITEM_FEATURES)]
_HISTORY_ROWS = rows_of(_HISTORY_NAMES, FEATURES)
_ITEM_ROWS = rows_of(GLOBAL_FEATURES, FEATURES)
_SHARED = frozenset([*_HISTORY_NAMES, *GLOBAL_FEATURES])
"""Names of the rows of shared blocks."""


def uncomputed_features(features: Mapping[str, RankingFeature]) -> list[str]:
    """Return the names of features that no function and no shared block computes: they would be 0 for ever.

    >>> uncomputed_features({"near": RankingFeature("neighbors", 0.9), "nearr": RankingFeature("neighbors", 0.9)})
    ['nearr']
    """
    return [name for name, feature in features.items() if feature.compute is None and name not in _SHARED]


if uncomputed_features(FEATURES):
    raise ValueError(f"nothing computes the ranking features {', '.join(uncomputed_features(FEATURES))}")


def weights_in_order(weights: Mapping[str, float]) -> Weights:
    """Return (features,) weights from weights by name; unknown names are ignored."""
    return np.array([weights.get(name, 0.0) for name in FEATURES])


def weights_by_name(weights: Weights) -> dict[str, float]:
    """Return the weights by feature name, without negligible ones."""
    return {
        name: weight
        for name, weight in zip(FEATURES, weights.round(SCORE_DIGITS).tolist(), strict=True)
        if abs(weight) >= _MIN_WEIGHT
    }


def _user_functions(*, repeats: bool) -> tuple[list[FeatureFunction], Column]:
    """Return the features that are computed per user, and their rows in the feature matrix."""
    functions = {
        name: feature.compute
        for name, feature in FEATURES.items()
        if feature.compute and (repeats or not feature.needs_repeats)
    }
    return list(functions.values()), rows_of(list(functions), FEATURES)


_USER_FUNCTIONS = {repeats: _user_functions(repeats=repeats) for repeats in (False, True)}


def feature_matrix(
    query: RankingQuery, catalog: CatalogSnapshot, where: Where, *, allows_repeats: bool
) -> FeatureMatrix:
    """Return the feature matrix, (features, items).

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
        allows_repeats: Whether repeats are allowed; without them, features of repeats are 0.
    """
    functions, rows = _USER_FUNCTIONS[allows_repeats]
    own = np.empty((len(functions), len(catalog.columns.listing.all_items[where])), np.float32)
    for row, one in zip(own, functions, strict=True):
        row[:] = one(query, catalog, where)
    return FeatureMatrix(
        [(_HISTORY_ROWS, query.history_scores[:, where]), (_ITEM_ROWS, catalog.columns.features[:, where]), (rows, own)]
    )


def _column(affinities: Mapping[str, float], names: Vocabulary, preferred: Sequence[str]) -> Scores:
    """Return affinities by index, as shares of the strongest; the last entry stands for no name and is 0.

    A learned affinity counts less the less evidence there is. A stated interest counts as much as the strongest
    affinity can, in addition to its learned affinity: acting on one of several stated interests ranks it before the
    others.
    """
    evidence = max(map(abs, affinities.values()), default=0.0) + _PRIOR_EVIDENCE
    shares = {name: affinity / evidence for name, affinity in affinities.items()}
    for name in dict.fromkeys(preferred):
        shares[name] = shares.get(name, 0.0) + 1.0
    strongest = max(1.0, *map(abs, shares.values())) if shares else 1.0
    column = np.zeros(len(names) + 1)
    for name, share in shares.items():
        column[names.get(name)] = share / strongest
    column[-1] = 0.0
    return column
