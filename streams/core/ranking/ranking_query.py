"""Whom is ranked for: what sources, filters and parts of the score share of the work."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.neighbours.cooccurrence import DAMPING, NEXT, STEP, TOGETHER, WEAK, timestamp_groups_back
from models.neighbours.item_item_matrix import SimilarityQuery
from models.vocabulary import MISSING
from models.weight import POSITIVE_THRESHOLD
from schemas.types import Features
from schemas.zone import zone_of
from streams.core.item.stats import cohort_of
from streams.core.params import RankParams
from streams.core.ranking.catalog_snapshot import SMALL, CatalogSnapshot, Column, Indices
from streams.core.ranking.event_time import local_ms

ITEM_ITEM_FEATURES = ("near", "far", "next", "last", "taste", "far_taste")
"""What of other items is asked of a history."""
DISLIKED = -1.0
"""Weight of a dislike or a hide, or less. A film that was rated low was still chosen, and says what goes with it."""
_WINDOW = 64
"""Last events that count. The hundred that features tell of rank no better (NDCG@10 within 0.0002) and take longer."""
_BACK = np.arange(_WINDOW)
_NEAR_ITEMS = _BACK < 50
_FAR_WEAK = 0.3
_FAR_STEPS = 0.98**_BACK
_TASTE_STEP = 0.9
_TOGETHER = np.array([_NEAR_ITEMS * STEP**_BACK, _FAR_STEPS], np.float32)
_TOGETHER_WEAK = _TOGETHER * np.array([[WEAK], [_FAR_WEAK]], np.float32)
"""What near and far weigh by steps back, for a liking and for an event that is none."""
_TASTES = np.array([_NEAR_ITEMS * _TASTE_STEP**_BACK, _FAR_STEPS], np.float32)
_TASTES_WEAK = _TASTES * np.float32(_FAR_WEAK)
"""The same for taste and far taste."""
_FOLLOWING = np.array([1.0, 0.5, 0.25], np.float32)
"""What next weighs by moments back."""
_LAST_DAMPING = 0.15
_OF_STRONGEST = np.array([[name != "last"] for name in ITEM_ITEM_FEATURES])
"""What is heard by its share of the strongest vote; the last item's links are shares as they are."""
_SCALES = np.array([[1.0 / SMALL]] * 3 + [[100.0]] * 3, np.float32)
_LENGTHS = (1, 2, 3, 5, 10, 30, 100)
"""Where classes of history length begin."""
_GAPS_MS = (1, 4_000, 15_000, 60_000, 600_000, 6 * 3_600_000, 2 * 86_400_000)
"""Where classes of the time since the last event begin."""
_EVENTS = (1e-9, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Where classes of the last item's events begin: links of a rare item say less. Nobody's come first."""
_RETURNS = (1e-3, 0.25, 0.45, 0.65)
"""Where classes of the share of a history that are returns to its items begin; there are as many again for when the
last event is one."""
CLASSES = (len(_LENGTHS) + 1, len(_GAPS_MS) + 2, len(_EVENTS) + 2, 2 * len(_RETURNS) + 1)
"""How many classes each context has."""


@dataclass(frozen=True, slots=True)
class RankingQuery:
    """What is to be known of a user. Columns are over all items."""

    features: Features
    local_ms: int
    """The time at which is ranked, by the person's clock; see `streams.core.ranking.event_time`."""
    context: tuple[int, int, int, int]
    """Classes of the history's length, of the time since the last event, of how much is known of its item, and of how
    many of the events are returns."""
    cohort: int
    cold: float
    """How little is known of the person: 1 for a newcomer, falling to 0."""
    history: Indices
    """The last items that were not plainly disliked, newest first."""
    liked: NDArray[np.bool_]
    """Which of them were liked."""
    history_scores: Column
    """(12, items) what the history says of other items: `VOTES`, each as a share of the strongest, then what is heard
    of them, on a scale like that of `view.strength`, where what is below zero says nothing."""

    @property
    def votes(self) -> Column:
        """Return (6, items) shares of the strongest."""
        return self.history_scores[: len(ITEM_ITEM_FEATURES)]


def ranking_query(features: Features, catalog: CatalogSnapshot, params: RankParams, *, at_ms: int) -> RankingQuery:
    """Return what is to be known of a user who is ranked for at a time in the stream."""
    recent = [
        (index, event)
        for event in features.recent[:_WINDOW]
        if event.weight > DISLIKED and (index := catalog.items.get(event.item_id)) != MISSING
    ]
    history = np.array([index for index, _ in recent], np.int32)
    liked = np.array([event.weight >= POSITIVE_THRESHOLD for _, event in recent], bool)
    groups_back = timestamp_groups_back((event.at for _, event in recent), at_ms)
    return RankingQuery(
        features,
        local_ms=local_ms(max(at_ms, features.triggered_at), zone_of(features.timezone, params.timezone)),
        context=(
            _class(features.event_count, _LENGTHS),
            _gap_class(features, at_ms),
            _item_class(history, catalog),
            _returns_class(history),
        ),
        cohort=cohort_of(features.event_count),
        cold=params.cold_start_threshold / max(params.cold_start_threshold + features.event_count, 1),
        history=history,
        liked=liked,
        history_scores=_history_scores(history, liked, groups_back, catalog),
    )


def _history_scores(
    history: Indices, liked: NDArray[np.bool_], groups_back: NDArray[np.int64], catalog: CatalogSnapshot
) -> Column:
    """Ask the tables what goes with a history."""
    length, half = len(history), len(ITEM_ITEM_FEATURES)
    if not length:
        return np.zeros((2 * half, catalog.columns.count), np.float32)
    scores = np.empty((2 * half, catalog.columns.count), np.float32)
    votes, log_strengths = scores[:half], scores[half:]
    together = np.where(liked, _TOGETHER[:, :length], _TOGETHER_WEAK[:, :length])
    tastes = np.where(liked, _TASTES[:, :length], _TASTES_WEAK[:, :length])
    back = groups_back - groups_back[0]  # of the newest
    following = _FOLLOWING[back[: back.searchsorted(len(_FOLLOWING))]][None]
    last = np.array([[catalog.neighbors.share(int(history[0]), catalog.watermark, damping=_LAST_DAMPING)]])
    catalog.neighbors.links.scores(
        history,
        SimilarityQuery(TOGETHER, together, DAMPING),
        SimilarityQuery(NEXT, following, DAMPING),
        SimilarityQuery(TOGETHER, last, _LAST_DAMPING),
        out=votes[:4],
    )
    catalog.tastes.scores(history, SimilarityQuery(0, tastes), out=votes[4:])
    highest = votes.max(axis=1, keepdims=True, initial=0.0)
    highest[highest <= 0] = 1.0
    np.multiply(votes, np.where(_OF_STRONGEST, _SCALES / highest, _SCALES), out=log_strengths)
    votes /= highest
    np.maximum(log_strengths[4:], 0.0, out=log_strengths[4:])  # links are never below zero
    np.log1p(log_strengths, out=log_strengths)
    return scores


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
