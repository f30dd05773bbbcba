"""The client's exceptions.

MillraceError
├── UnauthorizedError       401
├── ForbiddenError          403
├── NotFoundError           404
├── InvalidError            400, 413, 415, 422: a retry will fail as well
│   └── PartlyInvalidError  207: the `problems` of a batch; the other events are published
├── TooManyRequestsError    429
├── AwayError               5xx
└── UnreachableError        no response
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class MillraceError(Exception):
    """A request failed."""

    def __init__(self, status: int, detail: Mapping[str, Any], *, retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(detail.get("code", "unknown"))
        self.message = str(detail.get("message", f"answered with {status}"))
        self.field = detail.get("field")
        self.problems = detail.get("problems", [])
        """Index, code, message and field of each invalid entry of a batch."""
        self.request_id = detail.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.code}: {self.message}")


class UnauthorizedError(MillraceError):
    """A token is missing or invalid."""


class ForbiddenError(MillraceError):
    """The token does not grant access."""


class NotFoundError(MillraceError):
    """The resource does not exist."""


class InvalidError(MillraceError):
    """The request is invalid; `field` or `problems` give the details."""


class PartlyInvalidError(InvalidError):
    """Some events are invalid, which `problems` identify by index; the others are published."""

    def __init__(self, problems: Sequence[Mapping[str, Any]], count: int) -> None:
        message = f"{len(problems)} of {count} events are invalid; the others are published"
        super().__init__(207, {"code": "partly_accepted", "message": message, "problems": list(problems)})


class TooManyRequestsError(MillraceError):
    """The rate limit is exceeded; retry after `retry_after_s`."""


class AwayError(MillraceError):
    """The API, or one of its dependencies, is unavailable at the moment."""


class UnreachableError(MillraceError):
    """There was no response."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(0, {"code": "unreachable", "message": f"{type(cause).__name__}: {cause}"})


_KINDS: dict[int, type[MillraceError]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidError),
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    429: TooManyRequestsError,
}


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> MillraceError:
    """Return the error of a response, even if a proxy and not the API sent it.

    Args:
        status: The HTTP status.
        headers: The response headers.
        body: The response body, whether or not it is JSON.
    """
    try:
        detail = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        detail = {}
    after = headers.get("retry-after", "")
    kind = AwayError if status >= 500 else _KINDS.get(status, MillraceError)
    return kind(status, detail, retry_after_s=float(after) if after.isdecimal() else None)
