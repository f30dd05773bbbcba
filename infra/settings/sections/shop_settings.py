"""Settings of a shop's home pages and product similarity."""

from __future__ import annotations

from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, POSITIVE, setting


@dataclass(frozen=True, kw_only=True)
class ShopSettings:
    """Shop."""

    shop_clicked_weight: float = setting(
        0.5, "share of a shop's home for products that go with clicked ones", NOT_NEGATIVE
    )
    shop_searched_weight: float = setting(0.4, "share for products that match the last searches", NOT_NEGATIVE)
    shop_diverse_weight: float = setting(0.1, "share for products from other categories", NOT_NEGATIVE)
    shop_inactive_days: float = setting(
        30.0, "days after the last click or search after which a home is not personal any more", POSITIVE
    )
    shop_fit_interval_s: float = setting(
        86_400.0, "seconds between fits of product similarity and association rules", POSITIVE
    )
