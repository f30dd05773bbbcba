"""Which items trend, for reading: `chart:trending` and `chart:trending:{category}` in Redis, or memory.

A trend is the logarithm of a decayed sum, and that of all items decays alike: their order stays as it is until somebody
acts on one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from redis.asyncio import Redis

from infra.redis.connection import store_errors

KEY = "chart:trending"
MOST = 1_000
"""Items kept in a chart."""
_LIVES_S = 90 * 86_400
"""How long a chart lives that nothing is added to: there is one for each category that ever was."""


class ChartStore(Protocol):
    """What trends, over all and by category. Every method raises `StoreError` when the store does not answer."""

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Put items into the charts by their trends; those without a category into that of all only."""
        ...

    async def read(self, category: str | None, *, limit: int) -> list[str]:
        """Return the first items of a category's chart, or of that of all."""
        ...

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the items of some categories' charts, each with its trend."""
        ...


class MemoryChartStore:
    """Charts of one process."""

    def __init__(self) -> None:
        self._charts: dict[str, dict[str, float]] = {}

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Put items into the charts."""
        for key, chart in _charts(trends, categories).items():
            self._charts[key] = self._charts.get(key, {}) | chart

    async def read(self, category: str | None, *, limit: int) -> list[str]:
        """Return the first items of a chart."""
        chart = self._charts.get(_key(category), {})
        return sorted(chart, key=lambda item: (-chart[item], item))[: min(limit, MOST)]

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the items of some categories' charts."""
        return {item: trend for name in categories for item, trend in self._charts.get(_key(name), {}).items()}


class RedisChartStore:
    """Charts in Redis: a sorted set each."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, trends: Mapping[str, float], categories: Mapping[str, str]) -> None:
        """Put items into the charts, all in one pipeline."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, chart in _charts(trends, categories).items():
            # Redis orders equal scores by name, and reads from the end: negated, the best come first.
            pipeline.zadd(key, {item: -trend for item, trend in chart.items()})
            pipeline.zremrangebyrank(key, MOST, -1)
            pipeline.expire(key, _LIVES_S)
        with store_errors("writing charts"):
            await pipeline.execute()

    async def read(self, category: str | None, *, limit: int) -> list[str]:
        """Return the first items of a chart."""
        with store_errors("reading a chart"):
            members = cast("list[bytes]", await self._redis.zrange(_key(category), 0, limit - 1))
        return [item.decode() for item in members]

    async def trends(self, categories: Sequence[str]) -> dict[str, float]:
        """Return the items of some categories' charts, read in one pipeline."""
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
