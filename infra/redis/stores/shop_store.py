"""A shop's home as it lies ready: `shop:home:{user_id}` for who is known, `shop:charts` for everyone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

HOME, CHARTS = "shop:home:", "shop:charts"
MOST = 60
"""Products in each list."""


class StoredHome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is for one user, best first."""

    user_id: str
    personalized: list[str]
    diverse: list[str] = []
    stale_at: int
    """When it is of use no more, in ms since the epoch."""


class StoredCharts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is for everyone, best first."""

    trending: list[str] = []
    best_value: list[str] = []
    top_categories: dict[str, list[str]] = {}
    diverse: list[str] = []


class ShopStore(Protocol):
    """Keeps homes and charts. Every method raises `StoreError` when the store does not answer."""

    async def write(self, homes: Sequence[StoredHome]) -> None:
        """Replace users' homes; each goes by itself when it is stale."""
        ...

    async def write_charts(self, charts: StoredCharts) -> None:
        """Replace the charts."""
        ...

    async def read(self, user_id: str, *, now_ms: int) -> tuple[StoredHome | None, StoredCharts]:
        """Return a user's home, None when there is none or it is stale, and the charts."""
        ...


class MemoryShopStore:
    """The store of one process."""

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
        """Return a user's home and the charts."""
        return _fresh(self._homes.get(user_id), now_ms), self._charts


class RedisShopStore:
    """The store in Redis, as JSON."""

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
        """Return a user's home and the charts."""
        with store_errors("reading the shop"):
            documents = cast("list[bytes | None]", await self._redis.mget([HOME + user_id, CHARTS]))
        home, charts = documents
        return (
            None if home is None else _fresh(msgspec.json.decode(home, type=StoredHome), now_ms),
            StoredCharts() if charts is None else msgspec.json.decode(charts, type=StoredCharts),
        )


def _fresh(home: StoredHome | None, now_ms: int) -> StoredHome | None:
    return home if home is not None and now_ms < home.stale_at else None
