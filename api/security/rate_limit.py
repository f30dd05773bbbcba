"""Rate limits per user and per address, counted in Redis for all processes together.

Redis is not asked on each request. A process counts locally and reports to Redis in steps of a tenth of the limit, so
that reads stay fast; a client can exceed its limit by at most that step per process. While Redis is unavailable all
requests pass, and `/health` and `/metrics` report it.
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

_REPORTS_PER_LIMIT = 10
"""Number of steps in which a limit is reported to Redis."""
_TIMEOUT_S = 0.3
_PAUSE_S = 5.0
"""Seconds without reports to Redis after it failed to answer."""


class Outage:
    """The end of the pause after a failure (s since the epoch), shared by all limits in one storage."""

    def __init__(self) -> None:
        self.until_s = 0.0


class RateLimiter:
    """One limit, such as `600/minute`, applied to each of any number of names.

    Limits in one storage share an `Outage`, so that a request waits at most once for an unavailable storage.
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
        self._report_size = max(1, self._limit.amount // _REPORTS_PER_LIMIT) if self._limit else 0
        self._pending_counts: dict[str, int] = {}
        self._refused_until_s: dict[str, float] = {}
        self._swept_s = clock_s()

    @property
    def is_degraded(self) -> bool:
        """Return whether reports to Redis are paused after a failure."""
        return self._clock_s() < self._outage.until_s

    async def acquire(self, name: str) -> None:
        """Count one request of a name.

        Raises:
            TooManyRequestsError: the limit is exceeded.
        """
        if self._limit is None:
            return
        now_s = self._clock_s()
        if now_s - self._swept_s > self._limit.get_expiry():
            self._sweep(now_s)
        until_s = self._refused_until_s.get(name, 0.0)
        if now_s < until_s:
            raise TooManyRequestsError(self._kind, str(self._limit), until_s - now_s)
        count = self._pending_counts.get(name, 0) + 1
        if count < self._report_size or self.is_degraded:
            self._pending_counts[name] = count
            return
        self._pending_counts.pop(name, None)
        await self._report(self._limit, name, count)

    async def _report(self, limit: RateLimitItem, name: str, count: int) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if await self._limiter.hit(limit, self._kind, name, cost=count):
                    return
                until_s = (await self._limiter.get_window_stats(limit, self._kind, name)).reset_time
        except (StorageError, TimeoutError):
            self._outage.until_s = self._clock_s() + _PAUSE_S
            return
        self._refused_until_s[name] = until_s
        raise TooManyRequestsError(self._kind, str(limit), until_s - self._clock_s())

    def _sweep(self, now_s: float) -> None:
        self._pending_counts.clear()
        self._refused_until_s = {name: until_s for name, until_s in self._refused_until_s.items() if now_s < until_s}
        self._swept_s = now_s


def network(host: str) -> str:
    """Return the network that counts as one client: an IPv4 address or an IPv6 /64; the empty string for anything else.

    A proxy may pass on an arbitrary X-Forwarded-For header: invented names must not count as separate clients.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        without_zone = IPv6Address(address.packed)
        return str(address.ipv4_mapped or without_zone.exploded[:19])
    return host
