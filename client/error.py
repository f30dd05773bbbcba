"""What may go wrong.

MillraceError
├── UnauthorizedError       401
├── ForbiddenError          403
├── NotFoundError           404
├── InvalidError            400, 413, 415, 422: it will not do better when sent again
│   └── PartlyInvalidError  207: of a batch, the `problems`; the other events are published
├── TooManyRequestsError    429
├── AwayError               5xx
└── UnreachableError        there was no answer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class MillraceError(Exception):
    """The API did not do what was asked."""

    def __init__(self, status: int, detail: Mapping[str, Any], *, retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(detail.get("code", "unknown"))
        self.message = str(detail.get("message", f"answered with {status}"))
        self.field = detail.get("field")
        self.problems = detail.get("problems", [])
        """Of a batch: index, code, message and field of each entry that cannot be used."""
        self.request_id = detail.get("request_id")
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.code}: {self.message}")


class UnauthorizedError(MillraceError):
    """A token is needed, or the one shown is no good."""


class ForbiddenError(MillraceError):
    """The token does not open this."""


class NotFoundError(MillraceError):
    """There is none."""


class InvalidError(MillraceError):
    """What was sent cannot be used; `field` or `problems` say what of it."""


class PartlyInvalidError(InvalidError):
    """Some events cannot be used, which `problems` name by their place among all; the others are published."""

    def __init__(self, problems: Sequence[Mapping[str, Any]], count: int) -> None:
        message = f"{len(problems)} of {count} events cannot be used; the others are published"
        super().__init__(207, {"code": "partly_accepted", "message": message, "problems": list(problems)})


class TooManyRequestsError(MillraceError):
    """More was asked than is allowed; `retry_after_s` says when to come again."""


class AwayError(MillraceError):
    """Something the API needs is not there now."""


class UnreachableError(MillraceError):
    """Nobody answered."""

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
    """Return the error of an answer, also of one that something before the API gave."""
    try:
        detail = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        detail = {}
    after = headers.get("retry-after", "")
    kind = AwayError if status >= 500 else _KINDS.get(status, MillraceError)
    return kind(status, detail, retry_after_s=float(after) if after.isdecimal() else None)
