"""Served metrics: what became of the feeds that were served, of the last hour and day."""

from __future__ import annotations

import msgspec

from domain.timestamp import DAY_MS, HOUR_MS
from infra.redis.metrics.click_rate_store import ClickRateStore, LabelRate
from infra.redis.metrics.online_metrics_store import OnlineMetrics, OnlineMetricsStore


class FeedMetrics(OnlineMetrics, frozen=True, kw_only=True):
    """Metrics of a time, with the impressions then. A rate without any case is null."""

    impressions: int
    """Items shown."""
    clicks: int
    """Shown items that were acted on positively within OUTCOME_WINDOW_S."""
    click_through_rate: float | None
    click_through_rates: dict[str, list[LabelRate]]
    """By place, source, arm (experiment=arm), model and category, the most impressions first."""


class ServedMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of the feeds that were served."""

    last_hour: FeedMetrics
    last_day: FeedMetrics


async def served_metrics(metrics: OnlineMetricsStore, rates: ClickRateStore) -> ServedMetrics:
    """Return the metrics of the last hour and of the last day.

    Args:
        metrics: The figures of feeds and the actions after them.
        rates: The figures of impressions.

    Raises:
        StoreError: a store does not answer.
    """

    async def read(span_ms: int) -> FeedMetrics:
        online, clicks = await metrics.read(span_ms), await rates.read(span_ms)
        return FeedMetrics(
            **msgspec.structs.asdict(online),
            impressions=clicks.impressions,
            clicks=clicks.clicks,
            click_through_rate=clicks.click_through_rate,
            click_through_rates=clicks.by,
        )

    return ServedMetrics(last_hour=await read(HOUR_MS), last_day=await read(DAY_MS))
