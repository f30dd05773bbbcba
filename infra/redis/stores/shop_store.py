"""Precomputed homes of a shop: `shop:home:{user_id}` for known users, `shop:charts` for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

HOME, CHARTS = "shop:home:", "shop:charts"
MAX_PRODUCTS = 60
"""Maximum number of products per list."""


class StoredHome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The personal lists of one user, best first."""

    user_id: str
    personalized: list[str]  # wire
    diverse: list[str] = []
    stale_at: int
    """Time of expiry, in ms since the epoch."""


class StoredCharts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The lists for all users, best first."""

    trending: list[str] = []
    best_value: list[str] = []
    top_categories: dict[str, list[str]] = {}
    diverse: list[str] = []


class ShopStore(Protocol):
    """Homes and charts. All methods raise `StoreError` if the store does not answer."""

    async def write(self, homes: Sequence[StoredHome]) -> None:
        """Replace users' homes; each expires at `stale_at`."""
        ...

    async def write_charts(self, charts: StoredCharts) -> None:
        """Replace the charts."""
        ...

    async def read(self, user_id: str, *, now_ms: int) -> tuple[StoredHome | None, StoredCharts]:
        """Return a user's home, None if it is missing or stale, and the charts.

        Args:
            user_id: The user.
            now_ms: Current time in ms since the epoch.
        """
        ...


class MemoryShopStore:
    """Homes and charts in memory."""

    def __init__(self) -> None:
        self._homes: dict[str, StoredHome] = {}
        self._charts = StoredCharts()

    async def write(self, homes: Sequence[StoredHome]) -> None:
        """Replace users' homes."""
        self._homes |= {home.user_id: home for home in homes}

    async def write_charts(self, charts: StoredCharts) -> None:
        """Replace the charts."""
        self._charts = charts

    async def read(self, user_id: str, *, now_ms: int) -> tuple[StoredHome | None, StoredCharts]:
        """Return a user's home, None if it is missing or stale, and the charts.

        Args:
            user_id: The user.
            now_ms: Current time in ms since the epoch.
        """
        return _fresh(self._homes.get(user_id), now_ms), self._charts


class RedisShopStore:
    """Homes and charts in Redis, as JSON."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write(self, homes: Sequence[StoredHome]) -> None:
        """Replace users' homes."""
        pipeline = self._redis.pipeline(transaction=False)
        for home in homes:
            pipeline.set(HOME + home.user_id, msgspec.json.encode(home), pxat=home.stale_at)
        with store_errors("writing homes of the shop"):
            await pipeline.execute()

    async def write_charts(self, charts: StoredCharts) -> None:
        """Replace the charts."""
        with store_errors("writing charts of the shop"):
            await self._redis.set(CHARTS, msgspec.json.encode(charts))

    async def read(self, user_id: str, *, now_ms: int) -> tuple[StoredHome | None, StoredCharts]:
        """Return a user's home, None if it is missing or stale, and the charts.

        Args:
            user_id: The user.
            now_ms: Current time in ms since the epoch.
        """
        with store_errors("reading the shop"):
            documents = cast("list[bytes | None]", await self._redis.mget([HOME + user_id, CHARTS]))
        home, charts = documents
        return (
            None if home is None else _fresh(msgspec.json.decode(home, type=StoredHome), now_ms),
            StoredCharts() if charts is None else msgspec.json.decode(charts, type=StoredCharts),
        )


def _fresh(home: StoredHome | None, now_ms: int) -> StoredHome | None:
    return home if home is not None and now_ms < home.stale_at else None
