"""Ranking features: each one scores candidates by one kind of evidence, and is 0 without evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from domain.timestamp import DAY_MS, HOUR_MS
from models.blend.blender import Weights
from models.blend.feature_matrix import FeatureMatrix, rows_of
from models.vocabulary import Vocabulary
from streams.core.item.item_stats import HOURS, WEEKDAYS
from streams.core.ranking.catalog.catalog_snapshot import TOPICS_PER_ITEM, CatalogSnapshot
from streams.core.ranking.catalog.event_time import recency_score
from streams.core.ranking.catalog.item_columns import (
    GLOBAL_FEATURES,
    SCORE_DIGITS,
    Column,
    Scores,
    Where,
    scattered,
    selected,
)
from streams.core.ranking.history_scores import ITEM_ITEM_FEATURES
from streams.core.ranking.ranking_query import RankingQuery
from streams.core.ranking.stages.reasons import Reason, always, because_liked, in_category, likes, on_date

_LATELY = ((0, 1), (1, 2), (2, 3), (3, 6), (6, 20))
"""Ranges of steps back in the history in which an item was last acted on: a feature for each."""
_PRIOR_EVIDENCE = 2.0
"""Prior evidence for no category or topic in particular, as of two clicks."""
_FOLLOWED_STEP = 0.8
"""Weight of an earlier visit to an item relative to the next visit."""
_HABIT_STEP, _HABIT_SCALE = 0.98, 10.0
"""Weight of an earlier visit at the same hour relative to the next, and the scale of the logarithm."""
_NEAR_KM, _FAR_KM = 0.1, 50.0
"""Distances at which proximity begins to fall, and from which on it is 0."""
_LOG_ODDS_SCALE = np.float32(0.25)
_EACH_TOPIC = np.ones(TOPICS_PER_ITEM)
_PER_LOG = np.float32(1.0 / np.log1p(_FAR_KM / _NEAR_KM))


FeatureFunction = Callable[[RankingQuery, CatalogSnapshot, Where], Column]
"""Scores items for the ranking query of a user, from a catalog snapshot."""


@dataclass(frozen=True, slots=True)
class ContributionGroup:
    """Contributions to a score that are reported as one."""

    name: str
    """The name on the wire: a key of a feed's `parts`, and one of its `sources`."""
    label: str
    """A word or two for people."""
    description: str
    """The meaning, as a property of an item."""


@dataclass(frozen=True, slots=True)
class FeatureGroup(ContributionGroup):
    """Features that are reported and explained as one, since they are too many to explain one by one."""

    reason: Reason
    """Writes the sentence that users read."""


@dataclass(frozen=True, slots=True)
class RankingFeature:
    """One feature: its name, the group that explains it, its weight before any learning, and its computation."""

    name: str
    group: FeatureGroup
    prior: float
    compute: FeatureFunction | None = None
    """Scores items for a user; None for a feature that is a row of a shared block."""
    needs_repeats: bool = False
    """Whether the feature applies only to items that are shown again."""


def _affinity(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the user's affinities to their category and topics, as shares of the strongest."""
    features = query.features
    if not (features.categories or features.topics or features.preferred):
        return catalog.columns.listing.zeros_at(where)
    categories = _column(features.categories, catalog.categories, features.preferred)
    topics = _column(features.topics, catalog.topics, features.preferred)
    return _label_scores(categories, topics, catalog, where)


def _situation(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the user's affinities to their category and topics in the present situations, on average."""
    features = query.features
    affinities = [by_label for one in features.situation if (by_label := features.situation_affinities.get(one))]
    if not affinities:
        return catalog.columns.listing.zeros_at(where)
    categories, topics = (
        np.mean([_column(by_label, names, ()) for by_label in affinities], axis=0)
        for names in (catalog.categories, catalog.topics)
    )
    return _label_scores(categories, topics, catalog, where)


def _label_scores(categories: Scores, topics: Scores, catalog: CatalogSnapshot, where: Where) -> Column:
    """Return the mean of the score of each item's category and the sum of those of its topics, clipped to [-1, 1].

    Args:
        categories: (categories + 1,) scores by index; the last is that of no category.
        topics: (topics + 1,) the same for topics.
        catalog: The catalog snapshot.
        where: The items.
    """
    if isinstance(where, slice):
        item_types = catalog.columns.listing.item_types[where]
        return catalog.item_type_index.scores(categories, topics).astype(np.float32)[item_types]
    topic_sums = topics.take(catalog.item_topics.take(where, axis=0)) @ _EACH_TOPIC  # no topic is the last one
    sums = topic_sums.clip(-1.0, 1.0) + categories.take(catalog.category.take(where))
    return (0.5 * sums).astype(np.float32)


def _cohort(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by popularity with users whose history is as long as the user's."""
    return selected(catalog.columns.cohort(query.cohort), where)


def _segment(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by popularity in the user's demographic group, the less the more events the user has."""
    column = catalog.columns.segment(query.features.segment)
    return (
        catalog.columns.listing.zeros_at(where)
        if column is None
        else column[where] * np.float32(query.cold_start_weight)
    )


def _again(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by the number of the user's actions on them, as ln(1 + actions)."""
    count = catalog.columns.count
    visits = {
        index: visits
        for item, visits in query.features.visits.items()
        if 0 <= (index := catalog.items.get(item)) < count
    }
    items = np.concatenate([query.repeatable_items, np.array(list(visits), np.int32)])
    actions = np.concatenate([np.ones(len(query.repeatable_items)), list(visits.values())])
    actions[np.isin(items, query.hidden_items)] = 0.0
    return scattered(items, np.log1p(actions), where, count=count)


def _prefetched(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items that were prefetched for the user as 1."""
    if not query.features.prefetched:
        return catalog.columns.listing.zeros_at(where)
    items = catalog.items.encode_known(query.features.prefetched)
    return scattered(items[items < catalog.columns.count], 1.0, where, count=catalog.columns.count)


def _recently_interacted(start: int, end: int) -> FeatureFunction:
    """Return the function that scores items last acted on `start` to `end` - 1 events ago as 1."""

    def _feature(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
        items = query.history[:end][::-1]  # the newest wins
        is_within = ~query.is_hidden[:end][::-1]
        is_within[max(len(items) - start, 0) :] = False
        return scattered(items, is_within, where, count=catalog.columns.count)

    return _feature


def _followed(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score the items that followed the user's earlier visits to the last item, the newest transition most."""
    after = np.flatnonzero(query.history[1:] == query.history[:1])  # the step after each earlier visit
    values = np.where(query.is_hidden[after], 0.0, _FOLLOWED_STEP ** np.arange(len(after)))
    return scattered(query.history[after][::-1], values[::-1], where, count=catalog.columns.count)  # the newest wins


def _at_same_time(period_ms: int, width_ms: int) -> FeatureFunction:
    """Return the function that scores items by the user's visits at the same time of a period, as of a day.

    Args:
        period_ms: Length of the period.
        width_ms: Deviation within which times are the same.
    """

    def _feature(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
        since = (query.at_ms - query.history_ms) % period_ms
        apart = np.minimum(since, period_ms - since) / width_ms
        items, first, visit = np.unique(query.history, return_index=True, return_inverse=True)
        weights = np.exp(-(apart**2) / 2) * _HABIT_STEP ** np.arange(len(apart))
        values = np.log1p(_HABIT_SCALE * np.bincount(visit, weights, minlength=len(items)))
        values[query.is_hidden[first]] = 0.0
        return scattered(items, values, where, count=catalog.columns.count)

    return _feature


def _near_last(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by proximity to the last place of the history, on a logarithmic scale."""
    last = catalog.geo_index.first_point(query.history)
    if last is None:
        return catalog.columns.listing.zeros_at(where)
    scores: Column = catalog.geo_index.distances(catalog.columns.count, last, where) * np.float32(1.0 / _NEAR_KM)
    scores = np.float32(1.0) - np.log(scores + np.float32(1.0)) * _PER_LOG
    return np.maximum(scores, np.float32(0.0))


def _hour(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by their popularity at this hour of the day."""
    return selected(catalog.columns.hour(query.at_ms // HOUR_MS % HOURS), where)


def _weekday(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by their popularity on this day of the week."""
    return selected(catalog.columns.weekday(query.at_ms // DAY_MS % WEEKDAYS), where)


def _embedding(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by their log-odds to be next, by the embeddings of the last items."""
    if query.embedding is None:
        return catalog.columns.listing.zeros_at(where)
    return catalog.embeddings.scores(query.embedding, where, count=catalog.columns.count) * _LOG_ODDS_SCALE


def _encoded(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items by their log-odds to be next, by the network in service."""
    if query.vector is None or query.encoder is None:
        return catalog.columns.listing.zeros_at(where)
    return query.encoder.scores(query.vector, where, count=catalog.columns.count) * _LOG_ODDS_SCALE


def _starts_soon(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> Column:
    """Score items with an event time by its proximity."""
    columns = catalog.columns
    if not len(columns.listing.timed_items):
        return columns.listing.zeros_at(where)
    if isinstance(where, slice):
        values = recency_score(columns.listing.spans[:, 0], query.local_ms)
        return scattered(columns.listing.timed_items, values, where, count=columns.count)
    starts = catalog.spans[where, 0]
    return np.where(starts > 0, recency_score(starts, query.local_ms), np.float32(0.0))


def _by_name(features: Sequence[RankingFeature]) -> Mapping[str, RankingFeature]:
    by_name = {feature.name: feature for feature in features}
    if len(by_name) < len(features):
        raise ValueError(f"a name of {', '.join(feature.name for feature in features)} stands for two ranking features")
    return by_name


_NEIGHBORS = FeatureGroup("neighbors", "related", "often chosen together with liked items", because_liked)
_TASTE = FeatureGroup("taste", "similar users", "chosen by users with a similar history", because_liked)
_AFFINITY = FeatureGroup("affinity", "preferences", "of preferred categories and topics", likes)
_SITUATION = FeatureGroup(
    "situation",
    "this moment",
    "of categories and topics preferred on this device, at this time of day or here",
    always("You like this at moments like this"),
)
_TRENDING = FeatureGroup("trending", "trending", "popular right now", always("Trending now"))
_POPULAR = FeatureGroup("popular", "popular", "popular for a longer time", in_category("Popular in"))
_SEGMENT = FeatureGroup(
    "segment", "your group", "popular in the same demographic group", always("Popular with people like you")
)
_RATED = FeatureGroup("rated", "rated", "highly rated", always("Highly rated"))
_FRESH = FeatureGroup("fresh", "new", "new in the catalogue", in_category("New in"))
_SOON = FeatureGroup("soon", "soon", "takes place soon", on_date(otherwise=_POPULAR.reason))
_PREFETCHED = FeatureGroup(
    "prefetched",
    "prefetched",
    "fetched in advance",
    on_date(otherwise=always("Found for you"), suffix=", found for you"),
)
_NEARBY = FeatureGroup("nearby", "nearby", "close to the last place", always("Close to your last place"))
_HOURS = FeatureGroup("hours", "this hour", "popular at this hour", always("Popular at this hour"))
_AGAIN = FeatureGroup("again", "again", "chosen before", always("You come back to this"))

FEATURES = _by_name(
    [
        RankingFeature("near", _NEIGHBORS, 0.9),
        RankingFeature("near_heard", _NEIGHBORS, 0.9),
        RankingFeature("far_heard", _NEIGHBORS, 0.1),
        RankingFeature("last", _NEIGHBORS, 0.0),
        RankingFeature("last_heard", _NEIGHBORS, 0.0),
        RankingFeature("next", _NEIGHBORS, 0.2),
        RankingFeature("next_heard", _NEIGHBORS, 0.1),
        RankingFeature("taste", _TASTE, 0.1),
        RankingFeature("taste_heard", _TASTE, 0.05),
        RankingFeature("far_taste", _TASTE, 0.3),
        RankingFeature("embedding", _TASTE, 0.0, _embedding),
        RankingFeature("encoded", _TASTE, 0.0, _encoded),
        RankingFeature("affinity", _AFFINITY, 1.0, _affinity),
        RankingFeature("situation", _SITUATION, 1.0, _situation),
        RankingFeature("trending", _TRENDING, 0.05),
        RankingFeature("day", _TRENDING, 0.0),
        RankingFeature("week", _POPULAR, 0.0),
        RankingFeature("popular", _POPULAR, 0.3),
        RankingFeature("slow", _POPULAR, 0.0),
        RankingFeature("lasting", _POPULAR, 0.0),
        RankingFeature("cohort", _POPULAR, 0.1, _cohort),
        RankingFeature("segment", _SEGMENT, 0.5, _segment),
        RankingFeature("rated", _RATED, 1.0),
        RankingFeature("fresh", _FRESH, 0.3),
        RankingFeature("soon", _SOON, 1.0, _starts_soon),
        RankingFeature("prefetched", _PREFETCHED, 3.0, _prefetched),
        RankingFeature("near_last", _NEARBY, 0.0, _near_last),
        RankingFeature("hour", _HOURS, 0.0, _hour),
        RankingFeature("weekday", _HOURS, 0.0, _weekday),
        RankingFeature("again", _AGAIN, 1.0, _again, needs_repeats=True),
        RankingFeature("followed", _AGAIN, 0.5, _followed, needs_repeats=True),
        RankingFeature("daily", _AGAIN, 0.0, _at_same_time(DAY_MS, HOUR_MS), needs_repeats=True),
        RankingFeature("weekly", _AGAIN, 0.0, _at_same_time(7 * DAY_MS, 3 * HOUR_MS // 2), needs_repeats=True),
        *(
            RankingFeature(f"lately_{start}", _AGAIN, 0.5, _recently_interacted(start, end), needs_repeats=True)
            for start, end in _LATELY
        ),
    ]
)
"""Features by name; the blender has weights for each."""
PRIOR = {name: feature.prior for name, feature in FEATURES.items()}
GROUPS = {feature.group.name: feature.group for feature in FEATURES.values()}
"""Feature groups by name."""
CONTENT = ContributionGroup("content", "similar content", "described like liked items")
"""Contribution to items that a request names and the catalogue lacks."""
ML = ContributionGroup("ml", "ranking", "scored by the ranking model")
LLM = ContributionGroup("llm", "language model", "scored by a language model")
"""Contributions to a combined score: the language model's, and the ranking's where no feature group explains it."""
ALL_GROUPS = (*GROUPS.values(), CONTENT, ML, LLM)
"""The groups of all contributions that a feed may have."""
_MIN_WEIGHT = 1e-4
"""Magnitude below which a personal weight is not stored."""
_HISTORY_NAMES = [*ITEM_ITEM_FEATURES, *(f"{name}_heard" for name in ITEM_ITEM_FEATURES)]
_HISTORY_ROWS = rows_of(_HISTORY_NAMES, FEATURES)
_ITEM_ROWS = rows_of(GLOBAL_FEATURES, FEATURES)
_SHARED = frozenset([*_HISTORY_NAMES, *GLOBAL_FEATURES])
"""Names of the rows of shared blocks."""


def uncomputed_features(features: Iterable[RankingFeature]) -> list[str]:
    """Return the names of features that no function and no shared block computes: they would be 0 for ever.

    >>> uncomputed_features([FEATURES["near"], RankingFeature("nearr", GROUPS["neighbors"], 0.9)])
    ['nearr']
    """
    return [feature.name for feature in features if feature.compute is None and feature.name not in _SHARED]


if uncomputed_features(FEATURES.values()):
    raise ValueError(f"nothing computes the ranking features {', '.join(uncomputed_features(FEATURES.values()))}")


def weights_in_order(weights: Mapping[str, float]) -> Weights:
    """Return (features,) weights from weights by name; unknown names are ignored."""
    return np.array([weights.get(name, 0.0) for name in FEATURES])


def factors_in_order(factors: Mapping[str, float]) -> Weights:
    """Return (features,) factors of weights from factors by name; 1 for a name without one."""
    return np.array([factors.get(name, 1.0) for name in FEATURES])


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


def feature_matrix(query: RankingQuery, catalog: CatalogSnapshot, where: Where) -> FeatureMatrix:
    """Return the feature matrix, (features, items).

    Args:
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        where: The items.
    """
    functions, rows = _USER_FUNCTIONS[query.has_repeats]
    own = np.empty((len(functions), catalog.columns.listing.size(where)), np.float32)
    for row, one in zip(own, functions, strict=True):
        row[:] = one(query, catalog, where)
    return FeatureMatrix(
        [(_HISTORY_ROWS, query.history_scores.at(where)), (_ITEM_ROWS, catalog.columns.at(where)), (rows, own)]
    )


def learned_shares(affinities: Mapping[str, float]) -> dict[str, float]:
    """Return affinities as shares of the strongest, which count less the less evidence there is.

    >>> learned_shares({"jazz": 8.0, "folk": -2.0})
    {'jazz': 0.8, 'folk': -0.2}
    """
    strongest = max(map(abs, affinities.values()), default=0.0) + _PRIOR_EVIDENCE
    return {name: affinity / strongest for name, affinity in affinities.items()}


def _column(affinities: Mapping[str, float], names: Vocabulary, preferences: Sequence[str]) -> Scores:
    """Return affinities by index, as shares of the strongest; the last entry stands for no name and is 0.

    A learned affinity counts less the less evidence there is. A stated interest counts as much as the strongest
    affinity can, in addition to its learned affinity: acting on one of several stated interests ranks it before the
    others.
    """
    interests = dict.fromkeys(preferences)
    labels = [*affinities, *(name for name in interests if name not in affinities)]
    shares = np.zeros(len(labels))
    shares[: len(affinities)] = list(learned_shares(affinities).values())
    if interests:
        shares[[name in interests for name in labels]] += 1.0
    column = np.zeros(len(names) + 1)
    column[names.encode(labels)] = shares / max(1.0, float(np.abs(shares).max(initial=0.0)))
    column[-1] = 0.0
    return column
