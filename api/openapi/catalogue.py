"""Every error that the API may answer with, found among the error types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from api.http.error import ApiError


class CatalogueEntry(NamedTuple):
    """One code; several errors may share it."""

    code: str
    status: int
    what: str


def catalogue() -> list[CatalogueEntry]:
    """Return the entries by status and code."""
    entries: dict[str, CatalogueEntry] = {}
    for kind in _kinds(ApiError):
        what = (kind.__doc__ or "").partition("\n")[0]
        entry = entries.get(kind.code)
        entries[kind.code] = CatalogueEntry(kind.code, kind.status, f"{entry.what} {what}" if entry else what)
    return sorted(entries.values(), key=lambda entry: (entry.status, entry.code))


def _kinds(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    """Yield the error types that have a code of their own."""
    for one in kind.__subclasses__():
        if "code" in vars(one):
            yield one
        yield from _kinds(one)
