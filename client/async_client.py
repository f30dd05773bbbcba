"""The asyncio client, with the interface of `client.client`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import httpx

from client.client import SILENCE_S, TIMEOUT_S
from client.error import MillraceError, UnreachableError, error_of
from client.event import Event, Outcome, bodies
from client.feed import Feed, feed_query, feeds
from client.retry import Retry
from client.sse import EventParser


class AsyncMillrace:
    """An asyncio client of one API. Close it after use, or use it as an async context manager."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._retry = retry or Retry()
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    async def publish(self, *events: Event) -> list[str]:
        """Publish events in order, and return their ids once the API has acknowledged all of them.

        Raises:
            PartlyInvalidError: some events are invalid; the others are published.
            MillraceError
        """
        outcome = Outcome()
        for path, body in bodies(events):
            answer = await self._request("POST", path, content=body, headers={"Content-Type": "application/json"})
            outcome.add(answer.content)
        outcome.check()
        return [event.event_id for event in events]

    async def feed(self, user_id: str, *, limit: int | None = None, previous: Feed | None = None) -> Feed:
        """Return a user's feed.

        Args:
            user_id: The user.
            limit: Maximum number of items (1 to 1,000); by default all.
            previous: A feed read before; it is returned if there is no newer version.

        Raises:
            MillraceError
        """
        headers = {} if previous is None else {"If-None-Match": f'W/"{previous.version}"'}
        answer = await self._request("GET", "/content", params=feed_query(user_id, limit), headers=headers)
        return previous if previous is not None and answer.status_code == 304 else feeds.decode(answer.content)

    async def updates(
        self, user_id: str, *, limit: int | None = None, previous: Feed | None = None
    ) -> AsyncIterator[Feed]:
        """Yield a user's feed and each newer version of it; reconnect after a break.

        Args:
            user_id: The user.
            limit: Maximum number of items (1 to 1,000); by default all.
            previous: A feed read before; the first feed is yielded only if it is newer.

        Raises:
            MillraceError: as many attempts as `Retry` allows have failed in a row.
        """
        last, failures = (previous.version if previous else ""), 0
        while True:
            parser = EventParser()
            try:
                async with self._http.stream(
                    "GET",
                    "/content/stream",
                    params=feed_query(user_id, limit),
                    headers={"Last-Event-ID": last} if last else {},
                    timeout=httpx.Timeout(TIMEOUT_S, read=SILENCE_S),
                ) as answer:
                    if not answer.is_success:
                        raise error_of(answer.status_code, answer.headers, await answer.aread())
                    async for chunk in answer.aiter_bytes():
                        for event in parser.feed(chunk):
                            if event.name == "feed":
                                last, failures = event.id, 0
                                yield feeds.decode(event.data)
                error: MillraceError = UnreachableError(EOFError("the stream ended"))
            except httpx.TransportError as cause:
                error = UnreachableError(cause)
            except MillraceError as refusal:
                error = refusal
            failures += 1
            await asyncio.sleep(self._retry.pause_s(failures, error))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = await self._http.request(method, path, **options)
            except httpx.TransportError as cause:
                error: MillraceError = UnreachableError(cause)
            else:
                if answer.is_success or answer.status_code == 304:
                    return answer
                error = error_of(answer.status_code, answer.headers, answer.content)
            await asyncio.sleep(self._retry.pause_s(attempt, error))
