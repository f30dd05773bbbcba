"""Blend of ranking and language-model scores: combined = 0.6 · ml + 0.4 · llm, or ml where there is no llm score.

`ml` is the score of the ranking, min-max scaled to [0, 1] over the best items, as many as a feed has; `llm` is the
language model's score, from 0 to 1. The blend comes before the selection, which sees combined scores only. LLM scores
arrive later than the feed they are for, and apply to the user's feeds until newer ones arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from domain.scale import min_max_scaled
from schemas.types import Feed, LlmScores
from streams.core.params import LlmBlendParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS, Indices
from streams.core.ranking.stages.features import LLM, ML

DoubleColumn = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LlmRatings:
    """The language model's scores for one user, and the weights of the two scores."""

    scores: Mapping[str, float]
    """Scores from 0 to 1, by item id."""
    weights: LlmBlendParams

    def column(self, items: Indices, catalog: CatalogSnapshot) -> DoubleColumn:
        """Return (items,) scores; NaN for an item without one.

        Args:
            items: (items,) indices of items of the catalog.
            catalog: The catalog snapshot.
        """
        column = np.full(len(items), np.nan)
        for index in np.flatnonzero(np.isin(items, catalog.items.encode_known(self.scores))).tolist():
            column[index] = self.scores[catalog.items.names[items[index]]]
        return column


class LlmScoreCache:
    """The newest language-model scores of each user, until they expire."""

    def __init__(self, params: LlmBlendParams, *, capacity: int = 100_000) -> None:
        """Start empty.

        Args:
            params: The parameters of the LLM blend; they say when scores expire.
            capacity: Largest number of users.
        """
        self._params, self._capacity = params, capacity
        self._scores: dict[str, LlmScores] = {}

    def put(self, scores: LlmScores) -> None:
        """Store scores, unless newer ones of the user are stored."""
        previous = self._scores.pop(scores.user_id, scores)
        self._scores[scores.user_id] = max(previous, scores, key=lambda one: (one.features_version, one.scored_at))
        if len(self._scores) > self._capacity:
            del self._scores[next(iter(self._scores))]

    def forget(self, user_id: str) -> None:
        """Forget the scores of a user."""
        self._scores.pop(user_id, None)

    def get(self, user_id: str, *, now_ms: int) -> LlmRatings | None:
        """Return the scores of a user; None without any, or once they have expired.

        Args:
            user_id: The id of the user.
            now_ms: The current time, in ms since the epoch.
        """
        scores = self._scores.get(user_id)
        if scores is None:
            return None
        if now_ms - scores.scored_at > self._params.llm_scores_ttl_ms:
            del self._scores[user_id]
            return None
        return LlmRatings(scores.scores, self._params)


@dataclass(frozen=True, slots=True)
class CombinedScores:
    """The combined scores of candidates, and their two terms."""

    ml: DoubleColumn
    """(items,) scaled scores of the ranking: 0 to 1 for the best items, below 0 for others, -inf if not admissible."""
    weighted_ml: DoubleColumn
    """(items,) the first term: `ml`, weighed where there is an LLM score."""
    weighted_llm: DoubleColumn
    """(items,) the second term; 0 where there is no LLM score."""

    @property
    def total(self) -> NDArray[np.float32]:
        """Return (items,) combined scores."""
        total: NDArray[np.float32] = (self.weighted_ml + self.weighted_llm).round(SCORE_DIGITS).astype(np.float32)
        return total

    def unit(self, scores: NDArray[np.float32]) -> float:
        """Return the difference between combined scores that stands for one of 1 between those of the ranking.

        Args:
            scores: (items,) scores of the ranking.
        """
        finite = np.flatnonzero(np.isfinite(scores))
        low, high = finite[np.argmin(scores[finite])], finite[np.argmax(scores[finite])]
        return (
            float((self.ml[high] - self.ml[low]) / (scores[high] - scores[low])) if scores[high] > scores[low] else 1.0
        )

    def subset(self, indices: NDArray[np.intp]) -> CombinedScores:
        """Return the scores of some candidates, by index."""
        return CombinedScores(self.ml[indices], self.weighted_ml[indices], self.weighted_llm[indices])


def joined(scores: Sequence[CombinedScores]) -> CombinedScores:
    """Return the scores of some candidates after those of others."""
    ml, weighted_ml, weighted_llm = (
        np.concatenate(columns)
        for columns in zip(*((one.ml, one.weighted_ml, one.weighted_llm) for one in scores), strict=True)
    )
    return CombinedScores(ml, weighted_ml, weighted_llm)


def combine(
    scores: NDArray[np.float32], llm: DoubleColumn, weights: LlmBlendParams, *, feed_items: int
) -> CombinedScores:
    """Return combined scores.

    >>> scores, llm = np.array([1.0, 3.0, 5.0], np.float32), np.array([0.5, np.nan, 0.0])
    >>> weights = LlmBlendParams(ml_score_weight=0.6, llm_score_weight=0.4, llm_scores_ttl_s=60)
    >>> combine(scores, llm, weights, feed_items=3).total
    array([0.2, 0.5, 0.6], dtype=float32)

    Args:
        scores: (items,) scores of the ranking; -inf for items that are not admissible.
        llm: (items,) scores of the language model; NaN for items without one.
        weights: The weights of the two scores.
        feed_items: The number of best items over which scores are scaled.
    """
    is_admissible = np.isfinite(scores)
    finite = scores[is_admissible].astype(np.float64)
    best = np.partition(finite, -feed_items)[-feed_items:] if len(finite) > feed_items else finite
    ml = np.full(len(scores), -np.inf)
    ml[is_admissible] = min_max_scaled(finite, over=best)
    has_llm = np.isfinite(llm)
    return CombinedScores(
        ml,
        np.where(has_llm, weights.ml_score_weight * ml, ml),
        np.where(has_llm, weights.llm_score_weight * np.nan_to_num(llm), 0.0),
    )


def blended(
    feed: Feed, combined_scores: CombinedScores, selection: NDArray[np.intp], scores: Mapping[str, float]
) -> Feed:
    """Return a feed with the combined scores of its items, and their two terms by group.

    Args:
        feed: The feed of the chosen candidates, with the ranking's scores; items beyond them fill it up and score 0.
        combined_scores: The combined scores of the candidates.
        selection: The indices of the candidates in the feed, in its order.
        scores: The language model's scores by item id.
    """
    fill = np.zeros(len(feed.items) - len(selection))
    ml, weighted_ml, weighted_llm = (
        np.concatenate([column[selection].clip(min=0.0), fill])
        for column in (combined_scores.ml, combined_scores.weighted_ml, combined_scores.weighted_llm)
    )
    contributions = _contributions(feed, weighted_ml, weighted_llm)
    return replace(
        feed,
        scores=(weighted_ml + weighted_llm).round(SCORE_DIGITS).tolist(),
        parts={name: values.round(SCORE_DIGITS).tolist() for name, values in contributions.items()},
        ml_scores=ml.round(SCORE_DIGITS).tolist(),
        llm_scores={item: scores[item] for item in feed.items if item in scores},
    )


def _contributions(feed: Feed, weighted_ml: DoubleColumn, weighted_llm: DoubleColumn) -> dict[str, DoubleColumn]:
    """Return the contributions by group, scaled to add up to the combined scores."""
    columns = {name: np.array(values) for name, values in feed.parts.items()}
    total = sum(columns.values(), np.zeros(len(weighted_ml)))
    factor = np.divide(weighted_ml, total, out=np.zeros(len(weighted_ml)), where=total > 0)
    contributions = {name: values * factor for name, values in columns.items()}
    residual = weighted_ml - total * factor
    if residual.any():
        contributions[ML.name] = residual
    return contributions | {LLM.name: weighted_llm}
