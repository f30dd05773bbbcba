"""Explanation of one item in a user's feed: filters, features with their weights, and the steps from score to position.

Everything is computed by the functions that rank, from the same inputs; nothing is approximated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from models.blend.blender import Blender, Weights
from models.vocabulary import MISSING
from schemas.types import Features, Feed, LlmScores
from streams.core.params import LlmBlendParams, RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.catalog.item_columns import SCORE_DIGITS
from streams.core.ranking.ordering import Candidates, lifted, score, weights_in
from streams.core.ranking.pipeline import SELECTION_STEPS, build_candidates, rank, stream_time_ms
from streams.core.ranking.ranking_query import RankingQuery, order_contexts
from streams.core.ranking.stages.calibration import quotas
from streams.core.ranking.stages.features import FEATURES, feature_matrix, weights_in_order
from streams.core.ranking.stages.filters import FILTERS, UNLISTED
from streams.core.ranking.stages.llm_blend import LlmScoreCache

Outcome = Literal["ranked", "filled_up", "removed", "no_candidate", "outranked"]


class FeatureShare(msgspec.Struct, frozen=True):
    """One ranking feature of an item."""

    feature: str
    group: str
    label: str
    """The label of the group, a word or two."""
    description: str
    """The meaning of the group."""
    value: float
    weight: float
    """The weight for the user: the shared one plus the user's own."""
    own_weight: float
    """The part of the weight that was learned from the user alone."""
    contribution: float
    """Value times weight; the contributions add up to the score."""


class LlmShare(msgspec.Struct, frozen=True):
    """The language model's part in the score of an item: combined = ml_weight · ml_score + llm_weight · llm_score."""

    ml_score: float
    llm_score: float
    ml_weight: float
    llm_weight: float


class ItemExplanation(msgspec.Struct, frozen=True):
    """An item in a ranking. Positions begin with 1."""

    item_id: str
    title: str
    category: str
    outcome: Outcome
    """Ranked; in the feed only to fill it up; removed by filters; named by no candidate source; or outranked."""
    removed_by: list[str]
    """The filters that remove the item."""
    position: int | None
    """Position in the feed."""
    position_by_score: int | None
    """Position among the candidates by the ranking's score alone, before the steps of `SELECTION_STEPS`."""
    candidates: int
    """Number of candidates that no filter removes."""
    feed_items: int
    """Length of the feed."""
    score: float
    """Score of the ranking, without the language model."""
    steps: list[str]
    """The steps of `SELECTION_STEPS` that the feed took between the scores and the positions, in their order."""
    is_calibrated: bool
    """Whether the user's stated interests have minimum shares of the feed."""
    is_trailing: bool
    """Whether the item comes after all others, regardless of its score."""
    reason: str
    """The reason that users read; empty outside the feed."""
    llm: LlmShare | None
    features: list[FeatureShare]
    """The features that are not 0, with the largest contribution first."""


@dataclass(frozen=True, slots=True)
class RankingInputs:
    """Everything that the feed of one user is ranked from."""

    features: Features
    catalog: CatalogSnapshot
    blender: Blender
    params: RankParams
    combine: LlmBlendParams
    llm_scores: LlmScores | None = None
    """The newest scores of the language model for the user, expired or not."""

    def feed(self, *, now_ms: int) -> Feed:
        """Return the feed that a worker would write at a time, in ms since the epoch."""
        llm_scores = LlmScoreCache(self.combine)
        if self.llm_scores is not None:
            llm_scores.put(self.llm_scores)
        llm = llm_scores.get(self.features.user_id, now_ms=now_ms)
        return rank(self.features, self.catalog, self.blender, self.params, now_ms=now_ms, llm=llm)


def explain(item_id: str, inputs: RankingInputs, feed: Feed) -> ItemExplanation:
    """Return the explanation of an item in a feed.

    Args:
        item_id: The id of the item.
        inputs: The inputs of the ranking.
        feed: The feed that was ranked from them.

    Raises:
        KeyError: neither the catalog nor an event names the item.
    """
    catalog, params = inputs.catalog, inputs.params
    index = catalog.items.get(item_id)
    if index == MISSING or index >= catalog.columns.count:
        raise KeyError(item_id)
    at_ms = stream_time_ms(inputs.features, catalog)
    candidates = build_candidates(inputs.features, catalog, params, at_ms=at_ms)
    _, context = order_contexts(candidates.query)[0]
    [weights] = weights_in(candidates.query, [context], inputs.blender)
    scores, weights = lifted(candidates, score(candidates, weights), weights, catalog)
    best_first = np.flatnonzero(np.isfinite(scores))
    ties = catalog.tie_breakers[candidates.items[best_first]]
    best_first = best_first[np.lexsort((ties, -scores[best_first], candidates.is_trailing[best_first]))]
    row = int(np.searchsorted(candidates.items, index))
    is_candidate = row < len(candidates.items) and int(candidates.items[row]) == index
    shares = _feature_shares(index, inputs, candidates, weights)
    removed_by = removing_filters(index, candidates.query, catalog, params)
    position = feed.items.index(item_id) if item_id in feed.items else None
    is_calibrated = bool(quotas(candidates.query, candidates.items, catalog, params))
    return ItemExplanation(
        item_id=item_id,
        title=catalog.titles[index],
        category=_category(index, catalog),
        outcome=_outcome(removed_by, is_candidate=is_candidate, is_in_feed=position is not None),
        removed_by=removed_by,
        position=None if position is None else position + 1,
        position_by_score=best_first.tolist().index(row) + 1 if is_candidate and np.isfinite(scores[row]) else None,
        candidates=len(best_first),
        feed_items=len(feed.items),
        score=round(sum(share.contribution for share in shares), SCORE_DIGITS),
        steps=_steps(candidates, feed, is_calibrated=is_calibrated),
        is_calibrated=is_calibrated,
        is_trailing=is_candidate and bool(candidates.is_trailing[row]),
        reason="" if position is None else feed.reasons[position],
        llm=_llm_share(item_id, position, feed, inputs.combine),
        features=shares,
    )


def removing_filters(index: int, query: RankingQuery, catalog: CatalogSnapshot, params: RankParams) -> list[str]:
    """Return the names of the filters that remove an item for a user.

    Args:
        index: The index of the item.
        query: The ranking query of the user.
        catalog: The catalog snapshot.
        params: The parameters of the ranking.
    """
    where = np.array([index], np.int32)
    masks = {name: filter_.removes(query, catalog, params, where) for name, filter_ in FILTERS.items()}
    names = [name for name, mask in masks.items() if mask is not None and mask.any()]
    return names if catalog.visible_to(query.features.prefetched, where).all() else [UNLISTED, *names]


def _feature_shares(index: int, inputs: RankingInputs, candidates: Candidates, weights: Weights) -> list[FeatureShare]:
    matrix = feature_matrix(candidates.query, inputs.catalog, np.array([index], np.int32))
    values = matrix.column(slice(None))[:, 0].astype(np.float64)
    contributions = np.nan_to_num(weights * values, posinf=0.0, neginf=0.0)
    personal = weights_in_order(inputs.features.weights) * (1.0 - inputs.blender.fallback.shares.sum())
    columns = (column.tolist() for column in (values, weights, personal, contributions))
    shares = [
        FeatureShare(feature.name, feature.group.name, feature.group.label, feature.group.description, *numbers)
        for feature, *numbers in zip(FEATURES.values(), *columns, strict=True)
        if numbers[0]
    ]
    return sorted(shares, key=lambda share: -abs(share.contribution))


def _outcome(removed_by: list[str], *, is_candidate: bool, is_in_feed: bool) -> Outcome:
    if is_in_feed:
        return "ranked" if is_candidate and not removed_by else "filled_up"
    if removed_by:
        return "removed"
    return "outranked" if is_candidate else "no_candidate"


def _steps(candidates: Candidates, feed: Feed, *, is_calibrated: bool) -> list[str]:
    is_skipped = {
        "llm_blend": not feed.ml_scores,
        "trailing": not candidates.is_trailing.any(),
        "serendipity": candidates.query.label_shares is None,
        "calibration": not is_calibrated,
        "exploration": not feed.propensities,
    }
    return [name for name in SELECTION_STEPS if not is_skipped.get(name)]


def _category(index: int, catalog: CatalogSnapshot) -> str:
    category = int(catalog.category[index])
    return "" if category == MISSING else catalog.categories.names[category]


def _llm_share(item_id: str, position: int | None, feed: Feed, params: LlmBlendParams) -> LlmShare | None:
    if position is None or item_id not in feed.llm_scores:
        return None
    return LlmShare(feed.ml_scores[position], feed.llm_scores[item_id], params.ml_score_weight, params.llm_score_weight)
