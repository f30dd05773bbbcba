"""Blend of a shopper's home page: products that go with clicks, results of searches, and diverse picks."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_DECAY = 0.9
"""Decay per step of older clicks and searches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeMix:
    """Weights of the components of a home page."""

    clicked_weight: float
    searched_weight: float
    diverse_weight: float


ItemScores = Mapping[str, float]


def decay_sums(scores_by_age: Iterable[ItemScores]) -> dict[str, float]:
    """Return the decayed sums of scores, scaled to a maximum of 1.

    Args:
        scores_by_age: Scores by item after each click or search, the newest first.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    for age, scores in enumerate(scores_by_age):
        for item, score in scores.items():
            sums[item] += score * _DECAY**age
    high = max(sums.values(), default=0.0)
    return {item: score / high for item, score in sums.items()} if high > 0 else {}


def dcg_weights(items: Sequence[str]) -> dict[str, float]:
    """Return scores that fall logarithmically with the rank, as the discount of DCG."""
    return {item: 1 / math.log2(2 + rank) for rank, item in enumerate(items)}


def blend_home(
    click_scores: ItemScores,
    search_scores: ItemScores,
    diverse: ItemScores,
    *,
    mix: HomeMix,
    excluded_products: Iterable[str] = (),
    limit: int,
) -> list[str]:
    """Return the best items of a weighted sum of three components, best first.

    Args:
        click_scores: Scores from clicks.
        search_scores: Scores from searches.
        diverse: Scores of the diverse picks.
        mix: The weights of the components.
        excluded_products: Ids of products to exclude.
        limit: The maximum number of products.
    """
    components = (
        (mix.clicked_weight, click_scores),
        (mix.searched_weight, search_scores),
        (mix.diverse_weight, diverse),
    )
    sums: defaultdict[str, float] = defaultdict(float)
    for weight, component in components:
        for item, score in component.items():
            sums[item] += weight * score
    for item in excluded_products:
        sums.pop(item, None)
    return sorted((item for item in sums if sums[item] > 0), key=lambda item: (-sums[item], item))[:limit]
