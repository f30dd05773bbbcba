"""The client's exceptions.

MillraceError
├── UnauthorizedError       401
├── ForbiddenError          403
├── NotFoundError           404
├── InvalidRequestError     400, 413, 415, 422: a retry will fail as well
│   └── PartialFailureError 207: the `problems` of a batch; the other events are published
├── TooManyRequestsError    429
├── ServerError             5xx
└── ApiConnectionError      no response
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An invalid event of a batch, by its index in the call (from 0), and its invalid field, if it is one field."""

    index: int
    code: str
    message: str
    field: str | None = None


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an error, as the API sends it."""

    code: str = "unknown"
    message: str = ""
    field: str | None = None
    problems: Sequence[Problem] = ()
    request_id: str | None = None


class MillraceError(Exception):
    """A request failed.

    Attributes:
        status_code: The HTTP status, or None if there was no response.
        code: The API's error code, such as `invalid_value`; `unknown` if the response is not the API's.
        message: The explanation for people.
        field: The name of the invalid field, if it is one field.
        problems: The invalid events of a batch.
        request_id: The id under which the API logs the request.
        retry_after_s: The pause that the API demands before the next attempt, in seconds.
    """

    def __init__(self, status_code: int | None, detail: ErrorDetail, *, retry_after_s: float | None = None) -> None:
        """Create an error.

        Args:
            status_code: The HTTP status; None if there was no response.
            detail: The error in the response's body.
            retry_after_s: The pause that the API demands, in seconds.
        """
        self.status_code = status_code
        self.code = detail.code
        self.message = detail.message or f"status {status_code}"
        self.field = detail.field
        self.problems = detail.problems
        self.request_id = detail.request_id
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.code}: {self.message}")


class UnauthorizedError(MillraceError):
    """A token is missing or invalid."""


class ForbiddenError(MillraceError):
    """The token does not grant access."""


class NotFoundError(MillraceError):
    """The resource does not exist."""


class InvalidRequestError(MillraceError):
    """The request is invalid; `field` or `problems` give the details."""


class PartialFailureError(InvalidRequestError):
    """Some events are invalid, which `problems` identify by index; the others are published."""

    def __init__(self, problems: Sequence[Problem], count: int) -> None:
        """Create an error.

        Args:
            problems: The invalid events, by index.
            count: Number of events in the batch.
        """
        message = f"{len(problems)} of {count} events are invalid; the others are published"
        super().__init__(207, ErrorDetail(code="partly_accepted", message=message, problems=problems))


class TooManyRequestsError(MillraceError):
    """The rate limit is exceeded; retry after `retry_after_s`."""


class ServerError(MillraceError):
    """The API, or one of its dependencies, is unavailable at the moment."""


class ApiConnectionError(MillraceError):
    """There was no response: no connection, a timeout, or a response that broke off. `__cause__` is the reason."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(None, ErrorDetail(code="no_response", message=f"{type(cause).__name__}: {cause}"))
        self.__cause__ = cause


_TYPES: dict[int, type[MillraceError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidRequestError),
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: TooManyRequestsError,
}


def response_error(response: httpx2.Response) -> MillraceError:
    """Return the error of a response that has been read, even if a proxy and not the API sent it.

    >>> response_error(httpx2.Response(404, json={"error": {"code": "no_feed", "message": "alex has no feed"}}))
    NotFoundError('no_feed: alex has no feed')
    >>> response_error(httpx2.Response(502, html="<h1>Bad Gateway</h1>"))
    ServerError('unknown: status 502')
    """
    try:
        detail = msgspec.json.decode(response.content, type=dict[str, ErrorDetail])["error"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        detail = ErrorDetail()
    status_code, after = response.status_code, response.headers.get("retry-after", "")
    error_type = ServerError if status_code >= 500 else _TYPES.get(status_code, MillraceError)
    return error_type(status_code, detail, retry_after_s=float(after) if after.isdecimal() else None)
