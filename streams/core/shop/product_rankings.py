"""Rankings of a shop's products: trending, best value, top categories, and diverse picks."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

_PRIOR_REVIEWS = 50.0
_CATEGORIES = 5
_TOP_ITEMS = 20
"""Number of top products per category that diverse picks are drawn from."""


class RankedProduct(NamedTuple):
    """A product with its price and ratings."""

    item_id: str
    category: str
    price: float | None
    original_price: float | None
    rating: float | None
    reviews: int | None
    is_sold_out: bool = False
    """Whether it is out of stock, and therefore hidden."""


class ProductRankings:
    """All products, and the best available ones of each category."""

    def __init__(self, products: Sequence[RankedProduct], trending: Mapping[str, float]) -> None:
        """Rank the products; `trending` holds logarithms of decayed popularity, which compare at any time."""
        self.products = {product.item_id: product for product in products}
        self.sold_out = {product.item_id for product in products if product.is_sold_out}
        self._available = [product for product in products if not product.is_sold_out]
        ratings = [product.rating for product in products if product.rating is not None]
        self._mean = sum(ratings) / len(ratings) if ratings else 0.0
        self._trending = trending
        self._by_category: dict[str, list[str]] = {}
        for product in sorted(self._available, key=lambda one: (-self.popularity_score(one), one.item_id)):
            self._by_category.setdefault(product.category, []).append(product.item_id)

    def popularity_score(self, product: RankedProduct) -> float:
        """Return the mean rating of a product, weighted by the logarithm of its number of reviews."""
        return self.rating(product) * math.log1p(product.reviews or 0)

    def rating(self, product: RankedProduct) -> float:
        """Return the mean rating, shrunk towards the global mean for products with few reviews."""
        count = 0.0 if product.rating is None else float(product.reviews or 0)
        return ((product.rating or 0.0) * count + self._mean * _PRIOR_REVIEWS) / (count + _PRIOR_REVIEWS)

    def trending(self, limit: int) -> list[str]:
        """Return the trending products, filled up with those rated best by many."""
        return self._led(self._available, limit)

    def best_value(self, limit: int) -> list[str]:
        """Return the products with the highest product of rating and discount."""

        def value(product: RankedProduct) -> float:
            if not product.price or not product.original_price:
                return 0.0
            return self.rating(product) * (1 - product.price / product.original_price)

        ranking = sorted(self._available, key=lambda product: (-value(product), product.item_id))
        return [product.item_id for product in ranking[:limit] if value(product) > 0]

    def top_categories(self, limit: int) -> dict[str, list[str]]:
        """Return the leading categories, each with its leading products.

        Categories are ordered by trend, then by the ratings of their best products.
        """
        high = max((self._trending[item] for item in self.products if item in self._trending), default=0.0)

        def strength(category: str) -> tuple[float, float]:
            items = self._by_category[category]
            trend = sum(math.exp(self._trending[item] - high) for item in items if item in self._trending)
            return trend, sum(self.popularity_score(self.products[item]) for item in items[:_TOP_ITEMS])

        leading = sorted(sorted(self._by_category), key=strength, reverse=True)[:_CATEGORIES]
        return {
            category: self._led((self.products[item] for item in self._by_category[category]), limit)
            for category in leading
        }

    def diverse(self, clicked_products: Sequence[str], rng: random.Random, limit: int) -> list[str]:
        """Draw products round-robin over categories, from the categories with the fewest clicks."""
        counts = Counter(self.products[item].category for item in clicked_products if item in self.products)
        categories = sorted(self._by_category)
        rng.shuffle(categories)
        categories.sort(key=counts.__getitem__)
        least = categories[: max(1, len(categories) - len(counts))]
        tops = (self._by_category[name][:_TOP_ITEMS] for name in least)
        rankings = [rng.sample(top, len(top)) for top in tops]
        rounds = (ranking[turn] for turn in range(_TOP_ITEMS) for ranking in rankings if turn < len(ranking))
        return [item for _, item in zip(range(limit), rounds, strict=False)]

    def _led(self, products: Iterable[RankedProduct], limit: int) -> list[str]:
        ranking = sorted(
            products,
            key=lambda one: (-self._trending.get(one.item_id, -math.inf), -self.popularity_score(one), one.item_id),
        )
        return [product.item_id for product in ranking[:limit]]
