"""A shop in Redis: `shop:home:{user_id}` for known users, `shop:charts` for all, `shop:fit-request` for the fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

HOME, CHARTS, FIT_REQUEST = "shop:home:", "shop:charts", "shop:fit-request"
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


class FitRequest(msgspec.Struct, frozen=True, gc=False):
    """A request to fit the shop's models."""

    event_id: str
    requested_at: int
    """Time of the request, in ms since the epoch."""


class ShopStore(Protocol):
    """Homes, charts and the last request for a fit. All methods raise `StoreError` if the store does not answer."""

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

    async def request_fit(self, request: FitRequest) -> None:
        """Keep a request for a fit in place of the one before; the same request again changes nothing."""
        ...

    async def fit_request(self) -> FitRequest | None:
        """Return the last request for a fit."""
        ...


class MemoryShopStore:
    """Homes and charts in memory."""

    def __init__(self) -> None:
        self._homes: dict[str, StoredHome] = {}
        self._charts = StoredCharts()
        self._request: FitRequest | None = None

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

    async def request_fit(self, request: FitRequest) -> None:
        """Keep a request for a fit."""
        if self._request is None or self._request.event_id != request.event_id:
            self._request = request

    async def fit_request(self) -> FitRequest | None:
        """Return the last request for a fit."""
        return self._request


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

    async def request_fit(self, request: FitRequest) -> None:
        """Keep a request for a fit."""
        last = await self.fit_request()
        if last is None or last.event_id != request.event_id:
            with store_errors("keeping a request for a fit"):
                await self._redis.set(FIT_REQUEST, msgspec.json.encode(request))

    async def fit_request(self) -> FitRequest | None:
        """Return the last request for a fit."""
        with store_errors("reading a request for a fit"):
            document = cast("bytes | None", await self._redis.get(FIT_REQUEST))
        return None if document is None else msgspec.json.decode(document, type=FitRequest)


def _fresh(home: StoredHome | None, now_ms: int) -> StoredHome | None:
    return home if home is not None and now_ms < home.stale_at else None
