"""The synchronous client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from client.error import MillraceError, UnreachableError, error_of
from client.event import Event, Outcome, bodies
from client.feed import Feed, feed_query, feeds
from client.retry import Retry
from client.sse import EventParser

TIMEOUT_S = 10.0
SILENCE_S = 45.0
"""Longest silence of a stream: the API sends a ping every 15 seconds."""


class Millrace:
    """A client of one API. Close it after use, or use it as a context manager; threads may share it."""

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._retry = retry or Retry()
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=TIMEOUT_S, transport=transport)

    def publish(self, *events: Event) -> list[str]:
        """Publish events in order, and return their ids once the API has acknowledged all of them.

        Raises:
            PartlyInvalidError: some events are invalid; the others are published.
            MillraceError
        """
        outcome = Outcome()
        for path, body in bodies(events):
            answer = self._request("POST", path, content=body, headers={"Content-Type": "application/json"})
            outcome.add(answer.content)
        outcome.check()
        return [event.event_id for event in events]

    def feed(self, user_id: str, *, limit: int | None = None, previous: Feed | None = None) -> Feed:
        """Return a user's feed.

        Args:
            user_id: The user.
            limit: Maximum number of items (1 to 1,000); by default all.
            previous: A feed read before; it is returned if there is no newer version.

        Raises:
            MillraceError
        """
        headers = {} if previous is None else {"If-None-Match": f'W/"{previous.version}"'}
        answer = self._request("GET", "/content", params=feed_query(user_id, limit), headers=headers)
        return previous if previous is not None and answer.status_code == 304 else feeds.decode(answer.content)

    def updates(self, user_id: str, *, limit: int | None = None, previous: Feed | None = None) -> Iterator[Feed]:
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
                with self._http.stream(
                    "GET",
                    "/content/stream",
                    params=feed_query(user_id, limit),
                    headers={"Last-Event-ID": last} if last else {},
                    timeout=httpx.Timeout(TIMEOUT_S, read=SILENCE_S),
                ) as answer:
                    if not answer.is_success:
                        raise error_of(answer.status_code, answer.headers, answer.read())
                    for chunk in answer.iter_bytes():
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
            time.sleep(self._retry.pause_s(failures, error))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as cause:
                error: MillraceError = UnreachableError(cause)
            else:
                if answer.is_success or answer.status_code == 304:
                    return answer
                error = error_of(answer.status_code, answer.headers, answer.content)
            time.sleep(self._retry.pause_s(attempt, error))
