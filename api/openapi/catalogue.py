"""The list of all error codes of the API, derived from the error classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from api.http.error import ApiError


class CatalogueEntry(NamedTuple):
    """One error code; several error classes may share it."""

    code: str
    status: int
    description: str


def catalogue() -> list[CatalogueEntry]:
    """Return the entries, sorted by status and code."""
    entries: dict[str, CatalogueEntry] = {}
    for kind in _kinds(ApiError):
        what = (kind.__doc__ or "").partition("\n")[0]
        entry = entries.get(kind.code)
        entries[kind.code] = CatalogueEntry(kind.code, kind.status, f"{entry.description} {what}" if entry else what)
    return sorted(entries.values(), key=lambda entry: (entry.status, entry.code))


def _kinds(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    """Yield the error classes that define a code."""
    for one in kind.__subclasses__():
        if "code" in vars(one):
            yield one
        yield from _kinds(one)
