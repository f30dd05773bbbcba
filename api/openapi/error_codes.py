"""The list of all error codes of the API, derived from the error classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from api.http.error import ApiError


class ErrorCode(NamedTuple):
    """One error code; several error classes may share it."""

    code: str
    status: int
    description: str


def error_codes() -> list[ErrorCode]:
    """Return the error codes, sorted by status and code."""
    codes: dict[str, ErrorCode] = {}
    for kind in _kinds(ApiError):
        what = (kind.__doc__ or "").partition("\n")[0]
        entry = codes.get(kind.code)
        codes[kind.code] = ErrorCode(kind.code, kind.status, f"{entry.description} {what}" if entry else what)
    return sorted(codes.values(), key=lambda entry: (entry.status, entry.code))


def _kinds(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    """Yield the error classes that define a code."""
    for one in kind.__subclasses__():
        if "code" in vars(one):
            yield one
        yield from _kinds(one)
