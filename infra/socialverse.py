"""The external API that videos are collected from: lists of records, page by page, no faster than is allowed.

Refusals that another attempt may overcome (429, 5xx, no answer, no JSON) are tried again, later each time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

import httpx
import msgspec

from infra.settings import Settings

LISTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "all-users": ("/users/get_all", "users"),
        "all-posts": ("/posts/summary/get", "posts"),
        "viewed-posts": ("/posts/view", "posts"),
        "liked-posts": ("/posts/like", "posts"),
        "inspired-posts": ("/posts/inspire", "posts"),
        "rated-posts": ("/posts/rating", "posts"),
    }
)
"""Each list by the name of its collection: its path, and under which name a page holds its records.

They are in the order in which they are collected: who and what there is before who did what.
"""
_ATTEMPTS = 5
_LONGEST_PAUSE_S = 60.0
_AGAIN = frozenset((408, 425, 429))
_SERVER_ERROR = 500


class CollectError(Exception):
    """The external API does not give what is asked for."""


class Socialverse:
    """A client of the external API."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pause_s: float = 1.0,
    ) -> None:
        """`pause_s` is the pause before the second attempt; each further one is twice as long."""
        self._http = httpx.AsyncClient(
            base_url=settings.api_base_url,
            headers={"Flic-Token": settings.flic_token},
            timeout=settings.collect_timeout_s,
        )
        self._more = dict(parse_qsl(settings.collect_query))
        self._interval_s, self._pause_s = 1.0 / settings.collect_requests_per_s, pause_s
        self._clock_s, self._sleep = clock_s, sleep
        self._next_s = 0.0

    async def page(self, collection: str, page: int, page_size: int) -> list[msgspec.Raw]:
        """Return the records of one page, none past the last.

        Raises:
            CollectError: it was refused, or no attempt was answered.
        """
        path, name = LISTS[collection]
        params = self._more | {"page": str(page), "page_size": str(page_size)}
        for attempt in range(_ATTEMPTS):
            await self._turn()
            try:
                response = await self._http.get(path, params=params)
                if response.is_success:
                    return _records(response.content, name)
                problem = f"status {response.status_code}"
                asked_s = _retry_after_s(response.headers.get("retry-after", ""))
                if response.status_code < _SERVER_ERROR and response.status_code not in _AGAIN:
                    raise CollectError(f"{collection}, page {page}: {problem}")
            except (httpx.TransportError, msgspec.DecodeError) as error:
                problem, asked_s = type(error).__name__, 0.0
            if attempt + 1 < _ATTEMPTS:
                await self._sleep(min(max(asked_s, self._pause_s * 2**attempt), _LONGEST_PAUSE_S))
        raise CollectError(f"{collection}, page {page}: {problem}, {_ATTEMPTS} times")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _turn(self) -> None:
        """Wait until another request is allowed."""
        now_s = self._clock_s()
        self._next_s = max(self._next_s, now_s) + self._interval_s
        wait_s = self._next_s - self._interval_s - now_s
        if wait_s > 0:
            await self._sleep(wait_s)


def _records(content: bytes, name: str) -> list[msgspec.Raw]:
    page = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(page[name], type=list[msgspec.Raw]) if name in page else []


def _retry_after_s(header: str) -> float:
    return float(header) if header.isascii() and header.isdecimal() else 0.0
