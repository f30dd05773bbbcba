"""Request bodies: reading, decoding, and the checks of values and of the records made from them."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping, Sized
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import uuid_utils
from starlette.requests import Request

from api.http.error import ContentTypeError, ForbiddenError, InvalidError, MalformedError, TooLargeError, invalid
from api.security.principal import authorize_body
from domain.timestamp import epoch_ms
from schemas import limit, record_limit, text, types

B = TypeVar("B")
R = TypeVar("R")

Moment = int | float | datetime
"""A time: ms since the epoch, as an integer or a float without a fraction (1.7e12), or ISO 8601."""
Scalar = str | int | float | bool | None
Values = dict[str, Scalar | list[str]] | None
"""Additional values by name; null means absent."""

_BOM = b"\xef\xbb\xbf"
_DISCARDED = 16
"""A rejected body is read to its end if it has at most this many times the size limit."""
_DISCARD_S = 2.0
_PAIR = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]..")


def new_id() -> str:
    """Return a new id (UUIDv7: later ids sort after earlier ones)."""
    return str(uuid_utils.uuid7())


async def parse_body(request: Request, decoder: msgspec.json.Decoder[B], limit_bytes: int) -> B:
    """Read, decode and authorize a request's JSON body.

    Args:
        request: The request.
        decoder: Decodes and validates the body.
        limit_bytes: The largest body accepted.

    Raises:
        ContentTypeError, TooLargeError, MalformedError, InvalidError
        ForbiddenError: the body names another user than the caller.
    """
    body = decode(decoder, await read_body(request, limit_bytes))
    authorize_body(body)
    return body


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """Return the bytes of a request's JSON body; memory use is bounded by the limit.

    Raises:
        ContentTypeError, TooLargeError
        ForbiddenError: a page of a foreign origin sent it as text/plain.
    """
    _check_type(request)
    length = request.headers.get("content-length", "")
    chunks = request.stream()
    body = bytearray()
    if not (length.isdecimal() and int(length) > limit_bytes):
        async for chunk in chunks:
            body += chunk
            if len(body) > limit_bytes:  # the header may be missing or wrong
                break
        else:
            return bytes(body).removeprefix(_BOM)
    elif "expect" in request.headers:  # the client waits for permission to send the body
        raise TooLargeError(limit_bytes)
    await _discard(chunks, _DISCARDED * limit_bytes)
    raise TooLargeError(limit_bytes)


def _check_type(request: Request) -> None:
    """Check that a body is declared as JSON in UTF-8, or as text/plain, which `navigator.sendBeacon` uses.

    A browser sends text/plain to other origins without a preflight request. Text is therefore accepted only from our
    own pages, from the origins in CORS_ORIGINS, and from clients without an Origin header, which are not browsers.

    Raises:
        ContentTypeError, ForbiddenError
    """
    kind, *parameters = (part.strip() for part in request.headers.get("content-type", "").lower().split(";"))
    charsets = {
        value.strip('"') for name, _, value in (part.partition("=") for part in parameters) if name == "charset"
    }
    coding = request.headers.get("content-encoding", "identity")
    if kind not in ("application/json", "text/plain") or not charsets <= {"utf-8"} or coding != "identity":
        raise ContentTypeError
    origin = request.headers.get("origin")
    if kind == "text/plain" and origin is not None:
        is_own = origin.partition("://")[2] == request.headers.get("host")
        if not (is_own or {origin, "*"} & request.app.state.origins):
            raise ForbiddenError("pages of origins outside CORS_ORIGINS must send application/json")


async def _discard(chunks: AsyncIterator[bytes], most_bytes: int) -> None:
    """Read the rest of a body, up to a limit: a client that is cut off while sending never sees the response."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DISCARD_S):
            async for chunk in chunks:
                most_bytes -= len(chunk)
                if most_bytes < 0:
                    return


def decode(decoder: msgspec.json.Decoder[B], data: bytes | msgspec.Raw) -> B:
    """Decode JSON bytes; text is normalized to form C first.

    Raises:
        MalformedError: the bytes are not JSON.
        InvalidError: the JSON has the wrong shape; the error names the field.
    """
    try:
        # A raw entry is part of a body that was normalized to form C as a whole.
        return decoder.decode(data if isinstance(data, msgspec.Raw) else text.canonical_json(data))
    except msgspec.ValidationError as error:
        raise invalid(error, decoder.type) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        half = _HALF.search(_PAIR.sub(b"", bytes(data)))
        reason = f"{half[0].decode()} is half of a surrogate pair" if half else str(error)
        raise MalformedError(f"the body is not JSON: {reason}") from error
    except RecursionError as error:
        raise MalformedError("the body is nested too deeply") from error


def check_count(field: str, entries: Sized, max_count: int) -> None:
    """Check that a list has 1 to `max_count` entries.

    Raises:
        InvalidError
    """
    if not 1 <= len(entries) <= max_count:
        raise InvalidError(field, f"must have 1 to {max_count} entries, not {len(entries)}")


def validate_record(record: R, now_ms: int, *, rating_scale: float, max_age_days: float = math.inf) -> R:
    """Return a record with normalized labels, after checking it against its limits.

    Args:
        record: The record to publish.
        now_ms: The present time, in ms since the epoch.
        rating_scale: The highest rating of this deployment.
        max_age_days: The greatest age of an event, in days.

    Raises:
        InvalidError: a field breaks its limit; the error names it.
    """
    record = text.canonical(record)
    try:
        record_limit.check(record, now_ms=now_ms)
        if isinstance(record, types.Interaction):
            record_limit.check_rating(record, rating_scale)
        record_limit.check_age(record, now_ms, max_days=max_age_days)
    except limit.OutOfRangeError as error:
        raise InvalidError(error.field, error.detail.removeprefix(f"{error.field} ")) from error
    return record


def milliseconds(time: Moment, field: str = "occurred_at") -> int:
    """Return a time in ms since the epoch; a time without a time zone is taken as UTC.

    Raises:
        InvalidError: the time is not a whole number of milliseconds; the error names `field`.
    """
    if isinstance(time, datetime):
        return epoch_ms(time)
    if time != int(time):
        raise InvalidError(field, "must be a whole number of milliseconds since the epoch, or ISO 8601")
    return int(time)


def texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return values as the strings that records hold: JSON, except strings, which stay; null values are omitted."""
    return {key: _text(value) for key, value in (values or {}).items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
