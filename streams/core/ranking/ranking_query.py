"""Ranking query: the intermediate results about a user that sources, filters and features share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.timestamp import DAY_MS, HOUR_MS, MINUTE_MS
from domain.zone import zone_of
from models.blend.blender import Context
from models.encoders.encoded_items import EncodedItems
from models.factorization.item_embeddings import Vector
from models.neighbours.cooccurrence import DAMPING, NEXT, STEP, TOGETHER, WEAK, timestamp_groups_back
from models.neighbours.sparse_links import SimilarityQuery
from models.vocabulary import MISSING
from models.weight import POSITIVE_THRESHOLD
from schemas.types import Features
from streams.core.item.item_stats import cohort_of
from streams.core.params import RankParams, RepeatRule
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.event_time import local_ms
from streams.core.ranking.catalog.item_columns import Indices
from streams.core.ranking.history_scores import DenseScores, HistoryQueries, HistoryScores, LinkedScores
from streams.core.ranking.label_shares import LabelShares

DISLIKED = -1.0
"""Upper bound of the weight of a dislike or a hide. A film with a low rating was still chosen, so its links still
count."""
_WINDOW = 64
"""Last events that count. The hundred in the features rank no better (NDCG@10 within 0.0002) and take longer."""
_BACK = np.arange(_WINDOW)
_NEAR_ITEMS = _BACK < 50
_FAR_WEAK = 0.3
_FAR_STEPS = 0.98**_BACK
_WEIGHTS_STEP = 0.9
_TOGETHER = np.array([_NEAR_ITEMS * STEP**_BACK, _FAR_STEPS], np.float32)
_TOGETHER_WEAK = _TOGETHER * np.array([[WEAK], [_FAR_WEAK]], np.float32)
"""Weights of `near` and `far` by steps back, for a positive event and for any other."""
_WEIGHTS = np.array([_NEAR_ITEMS * _WEIGHTS_STEP**_BACK, _FAR_STEPS], np.float32)
_WEIGHTS_WEAK = _WEIGHTS * np.float32(_FAR_WEAK)
"""The same for `taste` and `far_taste`."""
_FOLLOWING = np.array([1.0, 0.5, 0.25], np.float32)
"""Weights of `next` by timestamp groups back."""
_LAST_DAMPING = 0.15
_LENGTHS = (1, 2, 3, 5, 10, 30, 100)
"""Lower bounds of the classes of history length."""
_GAPS_MS = (1, 4_000, 15_000, MINUTE_MS, 10 * MINUTE_MS, 6 * HOUR_MS, 2 * DAY_MS)
"""Lower bounds of the classes of the time since the last event, in ms."""
ORDER_GAPS_MS = (0, MINUTE_MS, 6 * HOUR_MS, 2 * DAY_MS)
"""Times since the last event from which a feed is shown in another order, in ms. The later ones are bounds of gap
classes, and each order has the weights of the class that begins there."""
_EVENTS = (1e-9, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Lower bounds of the classes of the last item's event count: links of a rare item are weaker evidence. The first class
is that of no events."""
_RETURNS = (1e-3, 0.25, 0.45, 0.65)
"""Lower bounds of the classes of the share of returns in a history. As many classes again are for a history whose last
event is a return."""
CLASSES = (len(_LENGTHS) + 1, len(_GAPS_MS) + 2, len(_EVENTS) + 2, 2 * len(_RETURNS) + 1)
"""Number of classes of each context."""


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """A user at a time, prepared for ranking."""

    features: Features
    at_ms: int
    """The time of the ranking in the stream."""
    local_ms: int
    """The time of the ranking by the user's clock; see `streams.core.ranking.catalog.event_time`."""
    context: tuple[int, int, int, int]
    """Classes of the history's length, of the time since the last event, of the last item's event count, and of the
    share of returns."""
    cohort: int
    cold_start_weight: float
    """Cold-start weight: 1 for a newcomer, falling to 0."""
    history: Indices
    """The last items that were not clearly disliked, newest first."""
    history_ms: NDArray[np.int64]
    """Times of the events of the history."""
    is_liked: NDArray[np.bool_]
    """Whether each item of the history was liked."""
    is_hidden: NDArray[np.bool_]
    """Whether each item of the history is not shown again."""
    hidden_items: Indices
    """Items that the user has acted on and that are not shown again."""
    repeatable_items: Indices
    """Items that the user has acted on and that may be shown again."""
    label_shares: LabelShares | None
    """The label shares of the history; None without labels, or where serendipity has no weight."""
    history_scores: HistoryScores
    """The item-item scores from the history."""
    embedding: Vector | None
    """The user's embedding, by the items of the history; None without one."""
    encoder: EncodedItems | None
    """The items of the network in service at the time of the query; None without one."""
    vector: Vector | None
    """The user's vector by this network; None without one."""
    weight_factors: Mapping[str, float]
    """Factors of the weights of ranking features, by name; those of all others are 1."""

    @property
    def has_repeats(self) -> bool:
        """Return whether any item may be shown to the user again."""
        return len(self.repeatable_items) > 0


def ranking_query(features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int) -> RankingQuery:
    """Return the ranking query of a user at a time in the stream.

    Args:
        features: The features of the user.
        catalog: The catalog snapshot.
        params: Supplies the cold-start threshold, the default time zone, the rule for repeats, the weight of
            serendipity, the factors of weights, and the largest catalog that is scored whole.
        at_ms: The stream's time, in ms since the epoch.
    """
    recent = [event for event in features.recent[:_WINDOW] if event.weight > DISLIKED]
    history = catalog.items.encode([event.item_id for event in recent])
    is_known = (history >= 0) & (history < catalog.columns.count)
    if not is_known.all():
        history, recent = (
            history[is_known],
            [event for event, has_item in zip(recent, is_known, strict=True) if has_item],
        )
    event_weights = np.array([event.weight for event in recent])
    is_liked = event_weights >= POSITIVE_THRESHOLD
    history_ms = np.array([event.at for event in recent], np.int64)
    seen_items = catalog.items.encode_known(features.seen)
    seen_items = seen_items[seen_items < catalog.columns.count]
    is_repeatable = _are_repeatable(seen_items, catalog, params.allow_repeat_items)
    hidden_items = seen_items[~is_repeatable]
    groups_back = timestamp_groups_back(history_ms.tolist(), at_ms)
    queries = _history_queries(history, is_liked, groups_back, catalog)
    encoder = catalog.encoder.items
    is_exact = len(catalog.columns.listing.listed_items) <= params.exact_items
    return RankingQuery(
        features,
        at_ms=at_ms,
        local_ms=local_ms(max(at_ms, features.triggered_at), zone_of(features.timezone, params.default_timezone)),
        context=(
            _class(features.event_count, _LENGTHS),
            _gap_class(features, at_ms),
            _item_class(history, catalog),
            _returns_class(history),
        ),
        cohort=cohort_of(features.event_count),
        cold_start_weight=params.cold_start_threshold / max(params.cold_start_threshold + features.event_count, 1),
        history=history,
        history_ms=history_ms,
        is_liked=is_liked,
        is_hidden=np.isin(history, hidden_items) if is_repeatable.any() else np.ones(len(history), bool),
        hidden_items=hidden_items,
        repeatable_items=seen_items[is_repeatable],
        label_shares=LabelShares.of(history, catalog) if params.serendipity_weight else None,
        history_scores=(DenseScores if is_exact else LinkedScores)(queries, catalog),
        embedding=catalog.embeddings.user(history),
        encoder=encoder,
        vector=None if encoder is None else encoder.user(history, event_weights.astype(np.float32)),
        weight_factors=params.feature_weight_factors,
    )


def order_contexts(query: RankingQuery) -> list[tuple[int, Context]]:
    """Return the contexts of a feed's orders, each with the time since the last event from which it is shown, in ms.

    The first order is for the gap at the time of the ranking, or for one of a ms if there is none: whoever reads the
    feed comes after its last event. Orders for shorter gaps than that are left out. Newcomers have one order.

    Args:
        query: The query of the user at the time of the ranking.
    """
    first = max(query.context[1], _class(1, _GAPS_MS))
    later = [(gap_ms, _class(gap_ms, _GAPS_MS)) for gap_ms in ORDER_GAPS_MS[1:]]
    gaps = [(0, first), *((gap_ms, gap) for gap_ms, gap in later if gap > first)]
    lengths, _, *rest = query.context
    return [(gap_ms, (lengths, gap, *rest)) for gap_ms, gap in gaps]


def _history_queries(
    history: Indices, is_liked: NDArray[np.bool_], groups_back: NDArray[np.int64], catalog: CatalogSnapshot
) -> HistoryQueries:
    """Return the queries of the item-item scores of a history."""
    length = len(history)
    together = np.where(is_liked, _TOGETHER[:, :length], _TOGETHER_WEAK[:, :length])
    weights = np.where(is_liked, _WEIGHTS[:, :length], _WEIGHTS_WEAK[:, :length])
    if not length:
        return HistoryQueries(history, (), weights)
    back = groups_back - groups_back[0]  # relative to the newest
    following = _FOLLOWING[back[: back.searchsorted(len(_FOLLOWING))]][None]
    last = np.array([[catalog.neighbors.share(int(history[0]), catalog.watermark, damping=_LAST_DAMPING)]])
    links = (
        SimilarityQuery(TOGETHER, together, DAMPING),
        SimilarityQuery(NEXT, following, DAMPING),
        SimilarityQuery(TOGETHER, last, _LAST_DAMPING),
    )
    return HistoryQueries(history, links, weights)


def _are_repeatable(items: Indices, catalog: CatalogSnapshot, rule: RepeatRule) -> NDArray[np.bool_]:
    """Return (items,) whether each item may be shown again after an interaction."""
    if not (rule.by_category or rule.otherwise or (rule.otherwise is None and catalog.repeated_categories)):
        return np.zeros(len(items), bool)
    codes, category = np.unique(catalog.category[items], return_inverse=True)
    names = ["" if code == MISSING else catalog.categories.names[code] for code in codes.tolist()]
    return np.array([rule.allows(name, catalog.repeated_categories) for name in names], bool)[category]


def _gap_class(features: Features, at_ms: int) -> int:
    return CLASSES[1] - 1 if not features.event_count else _class(max(at_ms - features.watermark, 0), _GAPS_MS)


def _item_class(history: Indices, catalog: CatalogSnapshot) -> int:
    return 1 + _class(catalog.neighbors.events(int(history[0]), catalog.watermark), _EVENTS) if len(history) else 0


def _returns_class(history: Indices) -> int:
    items = history.tolist()
    share = _class((len(items) - len(set(items))) / max(len(items), 1), _RETURNS)
    return share + len(_RETURNS) if share and items[0] in items[1:] else share


def _class(value: float, bounds: tuple[float, ...]) -> int:
    return bisect_right(bounds, value)
