"""Blend of a shopper's home page: products that go with clicks, results of searches, and diverse picks."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

_DECAY = 0.9
"""Decay per step of older clicks and searches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeMix:
    """Weights of the components of a home page: the shares of its places."""

    clicked_weight: float
    searched_weight: float
    diverse_weight: float


ItemScores = Mapping[str, float]


def ranking_by_age(scores_by_age: Iterable[ItemScores]) -> list[str]:
    """Return the items with a positive decayed sum of scores, highest sum first.

    Args:
        scores_by_age: Scores by item after each click or search, the newest first.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    for age, scores in enumerate(scores_by_age):
        for item, score in scores.items():
            sums[item] += score * _DECAY**age
    return sorted((item for item in sums if sums[item] > 0), key=lambda item: (-sums[item], item))


def dcg_weights(items: Sequence[str]) -> dict[str, float]:
    """Return scores that fall logarithmically with the rank, as the discount of DCG."""
    return {item: 1 / math.log2(2 + rank) for rank, item in enumerate(items)}


def blend_home(
    click_products: Sequence[str],
    search_products: Sequence[str],
    diverse_products: Sequence[str],
    *,
    mix: HomeMix,
    excluded_products: Iterable[str] = (),
    limit: int,
) -> list[str]:
    """Return a list whose places are shared by three components, interleaved by smooth weighted round-robin.

    In each place the component that is furthest behind its share puts its best remaining product. The first n places
    hold each component's share of n, to within one place. Once a component has no products left, the others share the
    remaining places by their weights. A product of several components takes a place of the first that puts it.

    Args:
        click_products: Products that go with clicks, best first.
        search_products: Products found by searches, best first.
        diverse_products: The diverse picks, best first.
        mix: The weights of the components.
        excluded_products: Ids of products to exclude.
        limit: The maximum number of products.
    """
    taken_ids, home = set(excluded_products), list[str]()
    weights = (mix.clicked_weight, mix.searched_weight, mix.diverse_weight)
    components = [
        _Component(weight, deque(ranking))
        for weight, ranking in zip(weights, (click_products, search_products, diverse_products), strict=True)
        if weight > 0
    ]
    while len(home) < limit:
        remaining = [one for one in components if one.next_product(taken_ids) is not None]
        if len(remaining) < len(components):
            components = [_Component(one.weight, one.products) for one in remaining]
        if not components:
            break
        for component in components:
            component.credit += component.weight
        leader = max(components, key=lambda one: one.credit)
        leader.credit -= sum(component.weight for component in components)
        product = leader.products.popleft()
        taken_ids.add(product)
        home.append(product)
    return home


@dataclass(slots=True)
class _Component:
    """A component of a home page, with its remaining products."""

    weight: float
    products: deque[str]
    """Best first."""
    credit: float = 0.0
    """How far it is behind its share of the places."""

    def next_product(self, taken_ids: Container[str]) -> str | None:
        """Return the best product that is not taken, after dropping those that are; None without any."""
        while self.products and self.products[0] in taken_ids:
            self.products.popleft()
        return self.products[0] if self.products else None
