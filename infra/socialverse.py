"""Client of the external API that videos are collected from: paginated lists of records, with a rate limit.

Temporary failures (429, 5xx, no response, no JSON) are retried with exponential backoff.
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
"""Path of each list, and the name of the field with the records of a page, by name of the collection.

They are in the order of collection: users and posts before the interactions.
"""
_ATTEMPTS = 5
_LONGEST_PAUSE_S = 60.0
_AGAIN = frozenset((408, 425, 429))
_SERVER_ERROR = 500


class CollectError(Exception):
    """The external API does not deliver the requested page."""


class Socialverse:
    """Client of the external API."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        pause_s: float = 1.0,
    ) -> None:
        """Create a client.

        Args:
            settings: Address, token and rate limit of the API.
            clock_s: Monotonic clock in seconds.
            sleep: Sleeps for a number of seconds.
            pause_s: Pause before the second attempt in seconds; it doubles with each further attempt.
        """
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
        """Return the records of one page, an empty list past the last page.

        Args:
            collection: Name of the collection, a key of `LISTS`.
            page: Number of the page, from 1.
            page_size: Number of records per page.

        Raises:
            CollectError: the API refused the request, or all attempts failed.
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
        """Wait until the rate limit allows another request."""
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
