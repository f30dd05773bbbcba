"""Settings of feeds: their size and lifetime, filters, decay and diversity."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, SHARE, between, one_of, setting

HIDE = "hide"


@dataclass(frozen=True, kw_only=True)
class RankingSettings:
    """Feeds and ranking."""

    max_recommendations: int = setting(50, "number of items in a feed", POSITIVE)
    feed_ttl_days: float = setting(30.0, "days after which a feed without updates expires; 0: never", NOT_NEGATIVE)
    allow_repeat_items: bool = setting(
        False, "whether to recommend items again after an interaction (useful for restaurants, not for films)"
    )
    out_of_stock: str = setting(
        HIDE, "treatment of items that are out of stock: hide them, or rank them last", one_of(HIDE, "last")
    )
    nearby_radius_km: float = setting(
        50.0, "maximum distance in km between a user and items tied to a location", POSITIVE
    )
    cold_start_threshold: int = setting(
        5,
        "interactions after which the video engine's feed is personal and the user's group has half its weight",
        NOT_NEGATIVE,
    )
    trending_decay_rate: float = setting(0.95, "share of an item's trend that remains after an hour", SHARE)
    popularity_half_life_days: float = setting(30.0, "half-life of popularity in days", POSITIVE)
    affinity_half_life_days: float = setting(30.0, "half-life of a user's affinities in days", POSITIVE)
    cooccurrence_half_life_days: float = setting(60.0, "half-life of item-to-item co-occurrence in days", POSITIVE)
    diversity_cap: float = setting(0.7, "maximum share of one category in any ten consecutive items of a feed", SHARE)
    diversity_threshold: float = setting(
        0.3, "default of the minimum share of topics in which the results of POST /personalize differ", between(0, 1)
    )
    similarity_threshold: float = setting(0.3, "minimum similarity for items to be called similar", between(0, 1))

    @property
    def hides_out_of_stock(self) -> bool:
        """Say whether to exclude items that are out of stock."""
        return self.out_of_stock == HIDE
