"""Compression of response bodies for clients that ask for it (`Accept-Encoding`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cramjam import gzip, zstd

_MIN_BYTES = 1_000
"""Smaller bodies fit into a packet anyway."""
_CODINGS: dict[str, Callable[[bytes, int], Any]] = {"zstd": zstd.compress, "gzip": gzip.compress}
"""Content codings by name, the preferred one first."""
_LEVEL = 1


def compressed(body: bytes, accept_encoding: str | None) -> tuple[bytes, str | None]:
    """Return a body and its content coding, None if it stays as it is.

    Args:
        body: The body.
        accept_encoding: The header of the request.

    >>> compressed(b"a" * 2_000, "br, gzip;q=0.5")[1], compressed(b"a" * 2_000, "gzip;q=0")[1]
    ('gzip', None)
    """
    if accept_encoding is None or len(body) < _MIN_BYTES:
        return body, None
    names = {name.strip().lower() for name, _, quality in _codings(accept_encoding) if not _is_refused(quality)}
    for name, compress in _CODINGS.items():
        if name in names:
            return bytes(compress(body, _LEVEL)), name
    return body, None


def _codings(accept_encoding: str) -> list[tuple[str, str, str]]:
    return [part.partition(";") for part in accept_encoding.split(",")]


def _is_refused(quality: str) -> bool:
    """Return whether a quality value is 0, in any of the spellings `q=0`, `q=0.0` and so on."""
    name, _, value = quality.replace(" ", "").partition("=")
    return name.lower() == "q" and not value.strip("0.")
