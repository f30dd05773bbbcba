"""The outermost middleware: request id, path and query normalization, security headers, metrics and request log."""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.endpoints.metrics import Metrics
from api.http.body import new_id
from api.http.path import with_slashes_kept
from api.security.principal import REQUEST_CONTEXT, RequestContext

_log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]


class RequestContextMiddleware:
    """A plain ASGI middleware; it wraps only `send`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, logs: bool = False) -> None:
        """Create the middleware.

        Args:
            app: The wrapped app.
            metrics: Counts and times the requests.
            logs: Whether to log each completed request.
        """
        self._app, self._metrics, self._logs = app, metrics, logs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = time.perf_counter()
        scope = with_slashes_kept(scope)
        request_id = _client_request_id(scope) or new_id()
        scope["request_id"] = request_id
        scope["trace"] = context = RequestContext(request_id)
        REQUEST_CONTEXT.set(context)
        _normalize(scope)
        own_headers = [(b"x-request-id", request_id.encode()), *_SECURITY_HEADERS]
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header_names = {name.lower() for name, _ in message["headers"]}  # pages set their own headers
                message["headers"] = [*message["headers"], *(own for own in own_headers if own[0] not in header_names)]
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path_format", "unmatched")
            took_s = time.perf_counter() - began_s
            self._metrics.record_request(method, route, status, took_s)
            if self._logs:
                fields = {"method": method, "route": route, "status": status, "took_ms": round(1e3 * took_s, 1)}
                _log.info("request ended", extra=fields)


def _normalize(scope: Scope) -> None:
    """Normalize path and query to Unicode form C: their ids are compared with those of bodies and topics."""
    scope["path"] = unicodedata.normalize("NFC", scope["path"])
    query: bytes = scope["query_string"]
    if b"%" in query:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        normalized_pairs = [
            (unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", value)) for name, value in pairs
        ]
        if normalized_pairs != pairs:
            scope["query_string"] = urlencode(normalized_pairs).encode()


def _client_request_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode() if _REQUEST_ID.fullmatch(value) else None
    return None
