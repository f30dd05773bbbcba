"""Blend of ranking and language-model scores: combined = 0.6 · ml + 0.4 · llm, or ml where there is no llm score.

`ml` is the score of the ranking, min-max scaled to [0, 1] within the feed; `llm` is the language model's score, from 0
to 1. The feed keeps its items. Scores arrive later than the feed they are for, and apply to the user's next feeds until
newer ones arrive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from schemas.types import Feed, LlmScores
from streams.core.params import CombineParams, RankParams
from streams.core.ranking.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.diversity import diversify

LLM, ML = "llm", "ml"
"""Contributions to a combined score: the language model's, and the share of `ml` without a source of its own."""
_DIGITS = 6
_NEUTRAL_SCORE = 0.5
"""The value of `ml` where the ranking scores all items equally."""

Column = NDArray[np.float64]
T = TypeVar("T")


class LlmScoreCache:
    """The newest language-model scores of each user, until they expire."""

    def __init__(self, params: CombineParams, *, most: int = 100_000) -> None:
        self._params, self._most = params, most
        self._scores: dict[str, LlmScores] = {}

    def put(self, scores: LlmScores) -> None:
        """Store scores, unless newer ones of the user are stored."""
        previous = self._scores.pop(scores.user_id, scores)
        self._scores[scores.user_id] = max(previous, scores, key=lambda one: (one.features_version, one.scored_at))
        if len(self._scores) > self._most:
            del self._scores[next(iter(self._scores))]

    def blend(self, feed: Feed, catalog: CatalogSnapshot, params: RankParams) -> Feed:
        """Return a feed blended with the stored scores of its user; the same feed without any.

        Args:
            feed: The feed, as ranked.
            catalog: The catalog snapshot.
            params: Supplies the diversity of a feed.
        """
        scores = self._scores.get(feed.user_id)
        if scores is None:
            return feed
        if feed.generated_at - scores.scored_at > self._params.ttl_ms:
            del self._scores[feed.user_id]
            return feed
        return blend_llm_scores(feed, scores.scores, catalog, params, weights=self._params)


def blend_llm_scores(
    feed: Feed, scores: Mapping[str, float], catalog: CatalogSnapshot, params: RankParams, *, weights: CombineParams
) -> Feed:
    """Return a feed in the order of its combined scores, diversified.

    Args:
        feed: The feed, as ranked.
        scores: The language model's scores by item id, from 0 to 1.
        catalog: The catalog snapshot.
        params: Supplies the diversity of a feed.
        weights: The weights of the two scores.
    """
    judged = np.array([item in scores for item in feed.items], bool)
    if not judged.any():
        return feed
    ml = np.array(feed.ml_scores) if feed.ml_scores else min_max_scaled(np.array(feed.scores))
    llm = weights.llm * np.array([scores.get(item, 0.0) for item in feed.items])
    own = np.where(judged, weights.ml * ml, ml)
    best, end = np.argsort(-(own + llm).round(_DIGITS), kind="stable"), len(feed.items) - feed.trailing
    order = [index for some in (best[best < end], best[best >= end]) for index in _spread(some, feed, catalog, params)]
    parts = {
        name: _reordered(values.round(_DIGITS).tolist(), order)
        for name, values in _contributions(feed, own, llm).items()
    }
    return replace(
        feed,
        items=_reordered(feed.items, order),
        scores=_reordered((own + llm).round(_DIGITS).tolist(), order),
        sources=_reordered(feed.sources, order),
        reasons=_reordered(feed.reasons, order),
        parts=parts,
        propensities=_reordered(feed.propensities, order) if feed.propensities else [],
        ml_scores=_reordered(ml.round(_DIGITS).tolist(), order),
        llm_scores={item: scores[item] for item in feed.items if item in scores},
    )


def _spread(indices: NDArray[np.intp], feed: Feed, catalog: CatalogSnapshot, params: RankParams) -> list[int]:
    categories = catalog.category[catalog.items.encode([feed.items[index] for index in indices])]
    return diversify(indices, categories, params).tolist() if len(indices) else []


def min_max_scaled(scores: Column) -> Column:
    """Return scores scaled so that the lowest is 0 and the highest is 1; all 0.5 where they are equal.

    >>> min_max_scaled(np.array([2.0, 3.0, 6.0])).tolist()
    [0.0, 0.25, 1.0]
    """
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.full(len(scores), _NEUTRAL_SCORE)


def _contributions(feed: Feed, own: Column, llm: Column) -> dict[str, Column]:
    """Return the contributions by source, scaled to add up to the combined scores."""
    columns = {name: np.array(values) for name, values in feed.parts.items() if name != LLM}
    total = sum(columns.values(), np.zeros(len(own)))
    factor = np.divide(own, total, out=np.zeros(len(own)), where=total > 0)
    scaled = {name: values * factor for name, values in columns.items()}
    residual = own - total * factor
    if residual.any():
        scaled[ML] = scaled.get(ML, 0.0) + residual
    return scaled | {LLM: llm}


def _reordered(column: list[T], order: list[int]) -> list[T]:
    return [column[index] for index in order]
