"""HTTP connections: uvicorn's protocol with deadlines and limits, so that no client costs the others time or memory.

A client has limited time to send the headers and the body of a request and to read the response; the headers are
limited in bytes and number. Deadlines are checked once a second (`Connection.check`), so that a normal request needs
no timer. At the connection limit, the connection that has waited for its client the longest is closed.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.body import new_id
from api.http.error import (
    ApiError,
    BadRequestError,
    ConnectionsError,
    HeadersTooLargeError,
    SlowRequestError,
    UrlTooLongError,
)
from api.http.error_response import respond
from infra.settings import Settings

_PIPELINED = 16
"""Most pipelined requests of one connection; a client that sends more has not read any response."""
_LINGER_S, _LINGER_BYTES = 1.0, 1 << 20
"""Seconds and bytes for which a rejected client is still read: if it were cut off, it would not see the response."""
_DRAINED_BYTES = 16 << 10
"""Least amount of response data that a client must read within the send timeout."""


class Connection(HttpToolsProtocol):
    """A connection that enforces deadlines and limits on its client."""

    def __init__(self, *args: Any, settings: Settings, waiting: dict[HttpToolsProtocol, None], **options: Any) -> None:
        """Create a connection.

        Args:
            args: Positional arguments of uvicorn's protocol.
            settings: The deadlines and limits.
            waiting: The server's connections that wait for their clients, longest waiting first; shared by all.
            options: Keyword arguments of uvicorn's protocol.
        """
        super().__init__(*args, **options)
        self._settings, self._waiting = settings, waiting
        self._deadline_s = math.inf
        """Deadline for the client's next data; `inf` while the client waits for a response."""
        self._is_resting = False
        """Whether the connection is idle: all its requests were answered."""
        self._is_open = False
        """Whether a request has begun and is not complete."""
        self._unparsed_bytes = 0
        """Bytes received since the parser last completed a unit: the headers, a body chunk, or the request."""
        self._refusal: ApiError | None = None
        self._stall: tuple[float, int] | None = None
        """The time since which the client has not read its response, and the number of unsent bytes then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request, or reject the connection if there are too many."""
        super().connection_made(transport)
        self._expect(self._settings.api_header_timeout_s)
        if len(self.connections) <= self._settings.api_max_connections:
            return
        longest = next(iter(self._waiting))
        if longest is self:
            self._refuse(ConnectionsError(self._settings.api_max_connections))
        else:
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse received data, unless the client was rejected."""
        self._unset_keepalive_if_required()
        self._unparsed_bytes += len(data)
        if self._refusal is not None:
            if self._unparsed_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._is_resting:
            self._is_resting = False
            self._expect(self._settings.api_header_timeout_s)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # the request is answered without the upgrade, and the connection closed
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ApiError) else BadRequestError())
        else:
            if self._unparsed_bytes > self._settings.api_max_header_bytes:
                self._refuse(HeadersTooLargeError(self._settings.api_max_header_bytes))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_open = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Append to the URL, within its limit."""
        super().on_url(url)
        if len(self.url) > self._settings.api_max_url_bytes:
            raise UrlTooLongError(self._settings.api_max_url_bytes)

    def on_headers_complete(self) -> None:
        """Start serving a request and expect its body."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._settings.api_max_header_bytes or len(self.headers) > self._settings.api_max_headers:
            raise HeadersTooLargeError(self._settings.api_max_header_bytes)
        if len(self.pipeline) >= _PIPELINED:
            raise BadRequestError
        super().on_headers_complete()
        self.headers = []  # trailers are not headers
        self._unparsed_bytes = 0
        self._deadline_s = self.loop.time() + self._settings.api_body_timeout_s

    def on_body(self, body: bytes) -> None:
        """Receive a body chunk."""
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Suspend the deadline until the response is sent, unless it was sent already."""
        super().on_message_complete()
        self._unparsed_bytes, self._is_open = 0, False
        if self.cycle.response_complete:
            self._rest()
        else:
            self._deadline_s = math.inf
            self._waiting.pop(self, None)

    def on_response_complete(self) -> None:
        """Start the idle timeout, unless another request has begun or waits for its response."""
        super().on_response_complete()
        if not self.cycle.response_complete:
            return
        if not self._is_open:
            self._rest()
        elif self._deadline_s == math.inf:
            self._expect(self._settings.api_header_timeout_s)

    def check(self, now_s: float) -> None:
        """Close the connection if its client is late with a request or does not read its response."""
        self._check_drain(now_s)
        if now_s < self._deadline_s or self.flow.read_paused:
            return
        self._deadline_s = math.inf
        if self._refusal is not None:
            self.transport.abort()
        elif self._is_open or self._unparsed_bytes:
            self._refuse(SlowRequestError())
        else:
            self.transport.close()

    def _rest(self) -> None:
        self._is_resting = True
        self._expect(self._settings.api_idle_timeout_s)

    def _expect(self, within_s: float) -> None:
        """Set the client's deadline."""
        self._deadline_s = self.loop.time() + within_s
        self._waiting.setdefault(self)

    def _check_drain(self, now_s: float) -> None:
        size = self.transport.get_write_buffer_size()
        if not size:
            self._stall = None
        elif self._stall is None:
            self._stall = now_s, size
        elif now_s - self._stall[0] > self._settings.api_send_timeout_s:
            if size > self._stall[1] - _DRAINED_BYTES:
                self.transport.abort()
            self._stall = now_s, size

    def _refuse(self, error: ApiError) -> None:
        """Send an error and close the connection after the client has had time to read it."""
        self._refusal, self._unparsed_bytes = error, 0
        is_answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if is_answering or self.pipeline:
            self.transport.abort()
            return
        self._expect(_LINGER_S)
        self.flow.resume_reading()
        self.transport.write(_raw(error))
        self.transport.write_eof()  # closes the connection once the client closes its side


def _raw(error: ApiError) -> bytes:
    """Return an error as a raw HTTP response, for use before a request exists."""
    request_id = new_id()
    response = respond(error, request_id)
    headers = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, bytes(response.body))
