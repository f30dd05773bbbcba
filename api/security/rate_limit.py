"""How often someone may ask: a limit for each user and each address, counted in Redis for all processes together.

Redis is not asked with each request. A process counts by itself and tells Redis of a share of the limit at a time, so
that reads stay as fast as they are, and who asks too often is let through by no more than that share for each process.
While Redis is away everyone is let through, and `/health` and `/metrics` say so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError

from api.http.error import TooManyRequestsError
from infra.settings import OFF

_SHARE = 10
"""Into how many parts a limit is told to Redis."""
_TIMEOUT_S = 0.3
_LEFT_ALONE_S = 5.0
"""How long Redis is left alone when it did not answer."""


class Outage:
    """Until when the counters are left alone, by all limits that are counted in one storage."""

    def __init__(self) -> None:
        self.until_s = 0.0


class RateLimiter:
    """One limit for each of any number of names, such as `600/minute`.

    Limits that are counted in one storage share its `outage`: while the storage is away, a request waits for it once.
    """

    def __init__(
        self,
        kind: str,
        limit: str,
        storage: Storage,
        *,
        outage: Outage | None = None,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._kind, self._clock_s = kind, clock_s
        self._outage = outage or Outage()
        self._limit: RateLimitItem | None = None if limit == OFF else parse(limit)
        self._limiter = FixedWindowRateLimiter(storage)
        self._share = max(1, self._limit.amount // _SHARE) if self._limit else 0
        self._uncounted: dict[str, int] = {}
        self._refused: dict[str, float] = {}
        self._swept_s = clock_s()

    @property
    def is_degraded(self) -> bool:
        """Say whether Redis did not answer when it was last told."""
        return self._clock_s() < self._outage.until_s

    async def acquire(self, name: str) -> None:
        """Count a request.

        Raises:
            TooManyRequestsError: there were too many.
        """
        if self._limit is None:
            return
        now_s = self._clock_s()
        if now_s - self._swept_s > self._limit.get_expiry():
            self._sweep(now_s)
        until_s = self._refused.get(name, 0.0)
        if now_s < until_s:
            raise TooManyRequestsError(self._kind, str(self._limit), until_s - now_s)
        count = self._uncounted.get(name, 0) + 1
        if count < self._share or self.is_degraded:
            self._uncounted[name] = count
            return
        self._uncounted.pop(name, None)
        await self._tell(self._limit, name, count)

    async def _tell(self, limit: RateLimitItem, name: str, count: int) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if await self._limiter.hit(limit, self._kind, name, cost=count):
                    return
                until_s = (await self._limiter.get_window_stats(limit, self._kind, name)).reset_time
        except (StorageError, TimeoutError):
            self._outage.until_s = self._clock_s() + _LEFT_ALONE_S
            return
        self._refused[name] = until_s
        raise TooManyRequestsError(self._kind, str(limit), until_s - self._clock_s())

    def _sweep(self, now_s: float) -> None:
        self._uncounted.clear()
        self._refused = {name: until_s for name, until_s in self._refused.items() if now_s < until_s}
        self._swept_s = now_s


def network(host: str) -> str:
    """Return what one client can hold of addresses: one of IPv4, a /64 of IPv6; all that is no address is one client.

    A proxy may hand on whatever stands in X-Forwarded-For: made-up names must not be clients of their own.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        without_zone = IPv6Address(address.packed)
        return str(address.ipv4_mapped or without_zone.exploded[:19])
    return host
