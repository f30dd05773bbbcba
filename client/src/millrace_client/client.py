"""The synchronous client. Generated from async_client.py: do not edit."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import httpx2
from msgspec import structs

from millrace_client.error import ApiConnectionError, MillraceError, response_error
from millrace_client.event import Event, Interaction, PublishResult, publish_requests, token_of
from millrace_client.feed import Feed, feed_decoder, feed_query
from millrace_client.retry import Retry
from millrace_client.version import __version__

_SILENCE_S = 45.0
"""Longest silence of a stream: the API sends a ping every 15 seconds."""


class Millrace:
    """A client of one API. Close it after use, or use it as a context manager; threads may share it.

    Args:
        base_url: The address of the API.
        token: The bearer token, if the API requires one.
        timeout_s: Longest wait for a connection, and for the next bytes of a response, in seconds.
        retry: The retry policy.
        transport: A transport in place of the network, such as a test's:

    >>> def api(request: httpx2.Request) -> httpx2.Response:
    ...     return httpx2.Response(404, json={"error": {"code": "no_feed", "message": "alex has no feed"}})
    >>> def read() -> None:
    ...     with Millrace(transport=httpx2.MockTransport(api)) as millrace:
    ...         try:
    ...             millrace.feed("alex")
    ...         except MillraceError as error:
    ...             print(error)
    >>> read()
    no_feed: alex has no feed
    """

    def __init__(
        self,
        base_url: str = "http://localhost:8000",
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        retry: Retry | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        headers = {"User-Agent": f"millrace-client/{__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._retry = retry or Retry()
        self._stream_timeout = httpx2.Timeout(timeout_s, read=max(timeout_s, _SILENCE_S))
        self._http = httpx2.Client(base_url=base_url, headers=headers, timeout=timeout_s, transport=transport)

    def publish(self, *events: Event) -> list[str]:
        """Publish events in order, and return their ids once the API has acknowledged all of them.

        After an error that is not a `PartialFailureError`, some of the events may have been published. Publish the same
        events again: their ids keep them from counting twice.

        Raises:
            PartialFailureError: some events are invalid; the others are published.
            MillraceError
        """
        result = PublishResult()
        for path, body in publish_requests(events):
            response = self._request("POST", path, content=body, headers={"Content-Type": "application/json"})
            result.add(response.content)
        result.check()
        return [event.event_id for event in events]

    def publish_interaction(self, interaction: Interaction) -> str:
        """Publish one interaction and return its token, its place in the log: `feed` can wait until it is reflected.

        Raises:
            MillraceError
        """
        [(path, body)] = publish_requests([interaction])
        response = self._request("POST", path, content=body, headers={"Content-Type": "application/json"})
        return token_of(response.content)

    def feed(
        self,
        user_id: str,
        *,
        limit: int | None = None,
        previous: Feed | None = None,
        after: str | None = None,
        surface: str | None = None,
    ) -> Feed:
        """Return a user's feed.

        Args:
            user_id: The user.
            limit: Maximum number of items (1 to 1,000); by default all.
            previous: A feed read before; without `after`, it is returned if there is no newer version.
            after: The token of an interaction of the user: the API waits a moment for the feed that reflects it, and
                `Feed.reflects_after` says whether it does.
            surface: The surface whose kinds of items are wanted, or "all"; by default that of the deployment.

        Raises:
            MillraceError
        """
        # With `after` the same feed may be the answer, and say something else of it.
        headers = {"If-None-Match": f'W/"{previous.version}"'} if previous and not after else {}
        response = self._request("GET", "/content", params=feed_query(user_id, limit, after, surface), headers=headers)
        if previous is not None and response.status_code == httpx2.codes.NOT_MODIFIED:
            return previous
        return structs.replace(feed_decoder.decode(response.content), request_id=response.headers.get("x-request-id"))

    def updates(
        self, user_id: str, *, limit: int | None = None, previous: Feed | None = None, surface: str | None = None
    ) -> Generator[Feed]:
        """Yield a user's feed and each newer version of it; reconnect after a break.

        Args:
            user_id: The user.
            limit: Maximum number of items (1 to 1,000); by default all.
            previous: A feed read before; the first feed is yielded only if it is newer.
            surface: The surface whose kinds of items are wanted, or "all"; by default that of the deployment.

        Raises:
            MillraceError: as many attempts as `Retry` allows have failed in a row.
        """
        version, failures = (previous.version if previous else ""), 0
        while True:
            try:
                with self._http.sse(
                    "/content/stream",
                    params=feed_query(user_id, limit, surface=surface),
                    headers={"Last-Event-ID": version} if version else {},
                    timeout=self._stream_timeout,
                    max_event_size=None,
                ) as events:
                    if not events.response.is_success:
                        events.response.read()
                        raise response_error(events.response)
                    for event in events:
                        if event.event == "feed":
                            version, failures = event.id, 0
                            yield feed_decoder.decode(event.data)
                error: MillraceError = ApiConnectionError(EOFError("the stream ended"))
            except httpx2.TransportError as cause:
                error = ApiConnectionError(cause)
            except MillraceError as refusal:
                error = refusal
            failures += 1
            time.sleep(self._retry.pause_s(failures, error))

    def contribute(
        self, aggregation_id: str, user_id: str, values: Sequence[int], *, threshold: int, poll_s: float = 1.0
    ) -> None:
        """Take part in a secure aggregation to its end: the API learns the sum of all clients, and not these counters.

        It needs the package cryptography: `pip install 'millrace-client[aggregation]'`.

        Args:
            aggregation_id: The id of the aggregation.
            user_id: The user as whom to take part.
            values: The counters, from 0 to 2³² - 1.
            threshold: Number of clients that each round needs, as the app knows it: the API is not trusted with it.
            poll_s: The pause between two looks at the state of the aggregation, in seconds.

        Raises:
            millrace_client.secure_aggregation.AggregationError: the aggregation went on or ended without this client,
                or could not go on without a risk to its counters.
            MillraceError
        """
        from millrace_client.contribution import contribution  # needs cryptography

        requests = contribution(aggregation_id, user_id, values, threshold=threshold, poll_s=poll_s)
        with suppress(StopIteration):
            request = next(requests)
            while True:
                if request.pause_s:
                    time.sleep(request.pause_s)
                headers = {} if request.body is None else {"Content-Type": "application/json"}
                response = self._request(request.method, request.path, content=request.body, headers=headers)
                request = requests.send(response.content)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._http.request(method, path, **options)
            except httpx2.TransportError as cause:
                error: MillraceError = ApiConnectionError(cause)
            else:
                if response.is_success or response.status_code == httpx2.codes.NOT_MODIFIED:
                    return response
                error = response_error(response)
            time.sleep(self._retry.pause_s(attempt, error))
