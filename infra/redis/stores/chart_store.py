"""Charts of trending items: `chart:trending` and `chart:trending:{category}` in Redis, or memory.

A trend is the logarithm of a decayed sum. All sums decay at the same rate, so the order of items is stable between
interactions; `trend_score` is the sum at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from redis.asyncio import Redis

from domain.timestamp import DAY_S, HOUR_MS
from infra.redis.connection import store_errors

KEY = "chart:trending"
CHART_ITEMS = 1_000
"""Maximum number of items in a chart."""
_TTL_S = 90 * DAY_S
"""Lifetime of a chart without updates, since there is one for each category that ever existed."""

_MAX_LOG = 700.0
"""Largest logarithm of a double, rounded down."""


def trend_score(trend: float, *, now_ms: int, decay_rate: float) -> float:
    """Return the decayed sum behind a trend as of a time.

    Args:
        trend: The trend.
        now_ms: The time, in ms since the epoch.
        decay_rate: The share that is left of a sum after an hour (`TRENDING_DECAY_RATE`).
    """
    return math.exp(min(trend + math.log(decay_rate) * now_ms / HOUR_MS, _MAX_LOG))


class ChartStore(Protocol):
    """Trending items, overall and by category. All methods raise `StoreError` if the store does not answer."""

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Add items to the charts; items without a category are added to the overall chart only.

        Args:
            trends: Trends by item id.
            categories: Categories by item id.
        """
        ...

    async def read(self, category: str | None, *, limit: int) -> dict[str, float]:
        """Return the trends of the top items of a chart, highest first.

        Args:
            category: The category, None for the overall chart.
            limit: Maximum number of items.
        """
        ...

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the trends of all items in the charts of categories."""
        ...


class MemoryChartStore:
    """Charts of one process."""

    def __init__(self) -> None:
        self._charts: dict[str, dict[str, float]] = {}

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Add items to the charts.

        Args:
            trends: Trends by item id.
            categories: Categories by item id.
        """
        for key, chart in _charts(trends, categories).items():
            self._charts[key] = self._charts.get(key, {}) | chart

    async def read(self, category: str | None, *, limit: int) -> dict[str, float]:
        """Return the trends of the top items of a chart.

        Args:
            category: The category, None for the overall chart.
            limit: Maximum number of items.
        """
        chart = self._charts.get(_key(category), {})
        leading = sorted(chart, key=lambda item: (-chart[item], item))[: min(limit, CHART_ITEMS)]
        return {item: chart[item] for item in leading}

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the trends of items in the charts of categories."""
        return {item: trend for name in categories for item, trend in self._charts.get(_key(name), {}).items()}


class RedisChartStore:
    """Charts in Redis: one sorted set each."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Add items to the charts in one pipeline.

        Args:
            trends: Trends by item id.
            categories: Categories by item id.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for key, chart in _charts(trends, categories).items():
            # Redis orders by score, then by name: with negated scores the top items come first.
            pipeline.zadd(key, {item: -trend for item, trend in chart.items()})
            pipeline.zremrangebyrank(key, CHART_ITEMS, -1)
            pipeline.expire(key, _TTL_S)
        with store_errors("writing charts"):
            await pipeline.execute()

    async def read(self, category: str | None, *, limit: int) -> dict[str, float]:
        """Return the trends of the top items of a chart.

        Args:
            category: The category, None for the overall chart.
            limit: Maximum number of items.
        """
        with store_errors("reading a chart"):
            pairs = await self._redis.zrange(_key(category), 0, limit - 1, withscores=True)
            members = cast("list[tuple[bytes, float]]", pairs)
        return {item.decode(): -score for item, score in members}

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the trends of items in the charts of categories, read in one pipeline."""
        pipeline = self._redis.pipeline(transaction=False)
        for category in categories:
            pipeline.zrange(_key(category), 0, -1, withscores=True)
        with store_errors("reading charts"):
            charts = await pipeline.execute()
        return {item.decode(): -score for chart in charts for item, score in chart}


def _charts(trends: Mapping[str, float], categories: Mapping[str, str]) -> dict[str, dict[str, float]]:
    charts: dict[str, dict[str, float]] = {}
    for item, trend in trends.items():
        for key in {_key(None), _key(categories.get(item))}:
            charts.setdefault(key, {})[item] = trend
    return charts


def _key(category: str | None) -> str:
    return f"{KEY}:{category}" if category else KEY
