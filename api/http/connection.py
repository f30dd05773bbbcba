"""One HTTP connection: uvicorn's, with deadlines and bounds, so that no client costs the others time or memory.

A client has so long to send the headers and the body of a request and to take the answer; the headers are bounded in
bytes and number. Deadlines are looked at once a second (`Connection.check`), so that a request that comes as it should
costs no timer. When there are as many connections as may be, the one that has kept us waiting for longest goes.
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
    respond,
)
from infra.settings import Settings

_PIPELINED = 16
"""Requests of one connection that may wait for answers: who sends more has read none of these."""
_LINGER_S, _LINGER_BYTES = 1.0, 1 << 20
"""How long, and for how much, a client that is refused is heard out: one that is cut off would not see the answer."""
_DRAINED_BYTES = 16 << 10
"""What a client must at least take of its answers within the time for that."""


class Connection(HttpToolsProtocol):
    """A connection whose client is held to deadlines and bounds."""

    def __init__(self, *args: Any, settings: Settings, waiting: dict[HttpToolsProtocol, None], **options: Any) -> None:
        """`waiting` are a server's connections that wait for their clients, those that have done so longest first."""
        super().__init__(*args, **options)
        self._settings, self._waiting = settings, waiting
        self._deadline_s = math.inf
        """When what the client owes us has to be here; `inf` while we owe it an answer."""
        self._is_resting = False
        """Whether the client may be silent: its requests were answered."""
        self._is_open = False
        """Whether a request has begun that is not here to its end."""
        self._unparsed = 0
        """Bytes since something of a request was last complete: its headers, a part of its body, all of it."""
        self._refusal: ApiError | None = None
        self._stalled: tuple[float, int] | None = None
        """Since when there is something that the client does not take, and how much."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request, if there is room."""
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
        """Take what came, unless the client was refused."""
        self._unset_keepalive_if_required()
        self._unparsed += len(data)
        if self._refusal is not None:
            if self._unparsed > _LINGER_BYTES:
                self.transport.abort()
            return
        if self._is_resting:
            self._is_resting = False
            self._expect(self._settings.api_header_timeout_s)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # it is answered as if nothing had been asked for, and then closed
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, ApiError) else BadRequestError())
        else:
            if self._unparsed > self._settings.api_max_header_bytes:
                self._refuse(HeadersTooLargeError(self._settings.api_max_header_bytes))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_open = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a part of the address."""
        super().on_url(url)
        if len(self.url) > self._settings.api_max_url_bytes:
            raise UrlTooLongError(self._settings.api_max_url_bytes)

    def on_headers_complete(self) -> None:
        """Begin to serve a request, and expect its body."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._settings.api_max_header_bytes or len(self.headers) > self._settings.api_max_headers:
            raise HeadersTooLargeError(self._settings.api_max_header_bytes)
        if len(self.pipeline) >= _PIPELINED:
            raise BadRequestError
        super().on_headers_complete()
        self.headers = []  # what trails a body is no header
        self._unparsed = 0
        self._deadline_s = self.loop.time() + self._settings.api_body_timeout_s

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the client wait for us, unless it is answered already."""
        super().on_message_complete()
        self._unparsed, self._is_open = 0, False
        if self.cycle.response_complete:
            self._rest()
        else:
            self._deadline_s = math.inf
            self._waiting.pop(self, None)

    def on_response_complete(self) -> None:
        """Let the client rest, unless it has begun another request, or is owed the answer to one."""
        super().on_response_complete()
        if not self.cycle.response_complete:
            return
        if not self._is_open:
            self._rest()
        elif self._deadline_s == math.inf:
            self._expect(self._settings.api_header_timeout_s)

    def check(self, now_s: float) -> None:
        """Close the connection if its client is late with a request, or does not take its answer."""
        self._check_drain(now_s)
        if now_s < self._deadline_s or self.flow.read_paused:
            return
        self._deadline_s = math.inf
        if self._refusal is not None:
            self.transport.abort()
        elif self._is_open or self._unparsed:
            self._refuse(SlowRequestError())
        else:
            self.transport.close()

    def _rest(self) -> None:
        self._is_resting = True
        self._expect(self._settings.api_idle_timeout_s)

    def _expect(self, within_s: float) -> None:
        """Wait for the client."""
        self._deadline_s = self.loop.time() + within_s
        self._waiting.setdefault(self)

    def _check_drain(self, now_s: float) -> None:
        size = self.transport.get_write_buffer_size()
        if not size:
            self._stalled = None
        elif self._stalled is None:
            self._stalled = now_s, size
        elif now_s - self._stalled[0] > self._settings.api_send_timeout_s:
            if size > self._stalled[1] - _DRAINED_BYTES:
                self.transport.abort()
            self._stalled = now_s, size

    def _refuse(self, error: ApiError) -> None:
        """Answer with an error and close, once the client has had time to read it."""
        self._refusal, self._unparsed = error, 0
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
        self.transport.write_eof()  # which closes the connection, once the client does the same


def _raw(error: ApiError) -> bytes:
    """Return the answer of an error as it is sent, before there is a request that could be served."""
    request_id = new_id()
    response = respond(error, request_id)
    headers = [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, bytes(response.body))
