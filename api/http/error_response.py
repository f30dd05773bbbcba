"""Responses of errors, which all have one shape, and the handlers that make them of exceptions."""

from __future__ import annotations

import logging

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.http.error import (
    ApiError,
    MethodError,
    NotFoundError,
    Problem,
    RefusedError,
    SlowRequestError,
    StoreAwayError,
    UnforeseenError,
)

_LOG = logging.getLogger(__name__)


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of an error; some errors have further fields, described at `docs`."""

    code: str
    message: str
    request_id: str
    docs: str
    field: str | None = None
    problems: list[Problem] = []


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The shape of all error responses."""

    error: ErrorDetail


def respond(error: ApiError, request_id: str) -> Response:
    """Return the response of an error."""
    detail = ErrorDetail(
        code=error.code, message=error.message, request_id=request_id, docs=f"/docs/errors#{error.code}"
    )
    body = {"error": {**msgspec.to_builtins(detail), **error.details()}}
    return Response(msgspec.json.encode(body), error.status, error.headers(), "application/json")


async def on_api_error(request: Request, error: Exception) -> Response:
    """Respond to an `ApiError`."""
    assert isinstance(error, ApiError)
    return respond(error, request.scope["request_id"])


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Respond to an exception of the router."""
    assert isinstance(error, HTTPException)
    kind = {kind.status: kind for kind in (NotFoundError, MethodError)}.get(error.status_code, RefusedError)
    return respond(kind(error), request.scope["request_id"])


async def on_store_error(request: Request, _: Exception) -> Response:
    """Respond to an unavailable store."""
    return respond(StoreAwayError(), request.scope["request_id"])


async def on_disconnect(request: Request, _: Exception) -> Response:
    """Respond to a client that disconnected before its request was complete; only the metrics see the response."""
    return respond(SlowRequestError(), request.scope["request_id"])


async def on_unforeseen(request: Request, error: Exception) -> Response:
    """Respond to an unexpected exception, and log it."""
    request_id = request.scope["request_id"]
    _LOG.error("request %s failed", request_id, exc_info=error)
    return respond(UnforeseenError(), request_id)
