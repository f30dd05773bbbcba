"""Request bodies and their conversion to records. Unknown fields are ignored."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Mapping, Sized
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, TypeVar

import h3
import msgspec
import uuid_utils
from msgspec import Meta
from starlette.requests import Request

from api.http.error import ContentTypeError, ForbiddenError, InvalidError, MalformedError, TooLargeError, invalid
from api.security.principal import authorize_body
from domain.timestamp import epoch_ms
from domain.zone import zone_named
from schemas import limit, record_limit, text, types
from schemas.limit import RETRAINER

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


class EventBody(msgspec.Struct, kw_only=True, frozen=True):
    """Common fields of all events; `occurred_at` defaults to the time of the request."""

    user_id: str
    event_id: str | None = None
    occurred_at: Moment | None = None


class InteractionBody(EventBody, frozen=True, kw_only=True):
    """POST /interaction; `interaction_type` is an alias of `action`, and `rating` of `value`.

    For the action `rate` the value is the rating, from 0 to the setting RATING_SCALE (5 by default).
    """

    action: types.Action | None = None
    interaction_type: types.Action | None = None
    item_id: str | None = None
    value: float | None = None
    rating: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    device_type: str | None = None
    context: Values = None

    def record(self, now_ms: int) -> types.Interaction:
        """Return the record to publish."""
        action = self.action or self.interaction_type
        if action is None:
            raise InvalidError("action", "is missing")
        if action == "unknown":
            raise InvalidError("action", "must be a known action")
        device = {} if self.device_type is None else {"device_type": self.device_type}
        return types.Interaction(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            item_id=self.item_id,
            action=action,
            occurred_at=_ms(self.occurred_at, now_ms),
            value=self.rating if self.value is None else self.value,
            query=self.query,
            session_id=self.session_id,
            request_id=self.request_id,
            context=device | texts(self.context),
        )


class BatchBody(msgspec.Struct, frozen=True):
    """POST /interaction/batch. Entries are decoded one by one, so that each invalid one can be reported."""

    interactions: list[msgspec.Raw]


class ShownBody(msgspec.Struct, frozen=True):
    """One shown item; its position defaults to its index in the list."""

    item_id: str
    position: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    propensity: float | None = None


class ImpressionBody(EventBody, frozen=True, kw_only=True):
    """POST /impression."""

    items: list[ShownBody]
    request_id: str | None = None
    surface: str = ""

    def record(self, now_ms: int) -> types.Impression:
        """Return the record to publish."""
        return types.Impression(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            request_id=self.request_id,
            items=[
                types.ShownItem(
                    item_id=item.item_id,
                    position=index if item.position is None else item.position,
                    propensity=item.propensity,
                )
                for index, item in enumerate(self.items)
            ],
            surface=self.surface,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class LocationBody(EventBody, frozen=True, kw_only=True):
    """POST /location. The coordinates leave this object only as an H3 cell."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]

    def __repr__(self) -> str:
        return f"LocationBody(user_id={self.user_id!r}, lat=…, lon=…)"

    def record(self, now_ms: int, *, resolution: int) -> types.Location:
        """Return the record to publish, with the coordinates coarsened to an H3 cell of a resolution (0 to 15)."""
        return types.Location(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            cell=h3.latlng_to_cell(self.lat, self.lon, resolution),
            resolution=resolution,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class PreferencesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Stated preferences; omitted fields stay unchanged."""

    categories: list[str] | msgspec.UnsetType = msgspec.UNSET
    topics: list[str] | msgspec.UnsetType = msgspec.UNSET
    muted: list[str] | msgspec.UnsetType = msgspec.UNSET
    """Items, categories and topics to hide."""
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET
    city: str | msgspec.UnsetType | None = msgspec.UNSET


class ProfilePatch(PreferencesBody, frozen=True, kw_only=True):
    """PATCH /profile/{user_id}; omitted fields stay unchanged."""

    segment: str | msgspec.UnsetType = msgspec.UNSET
    locale: str | msgspec.UnsetType | None = msgspec.UNSET
    attributes: dict[str, str | int | float | bool] | msgspec.UnsetType = msgspec.UNSET


class ProfileBody(EventBody, frozen=True, kw_only=True):
    """POST /profile; it replaces the previous profile."""

    segment: str = ""
    categories: list[str] = []
    topics: list[str] = []
    muted: list[str] = []
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, Scalar] | None = None

    def record(self, now_ms: int) -> types.ProfileUpdate:
        """Return the record to publish."""
        fields = {name: getattr(self, name) for name in limit.PROFILE_FIELDS}
        return profile_update(self.user_id, fields, _ms(self.occurred_at, now_ms), event_id=self.event_id)


class RetrieveBody(EventBody, frozen=True, kw_only=True):
    """POST /retrieve: prefetch missing content for this user, then rank."""

    reason: str = ""
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            kind="refresh",
            reason=self.reason,
            request_id=self.request_id,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class RetrieveBatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /retrieve/batch: prefetch and rank for many users."""

    user_ids: list[str]
    reason: str = ""


class RerankBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /results/re-rank: rank the given items for a user; the same event_id returns the same result."""

    user_id: str
    candidates: list[str]
    event_id: str | None = None
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            kind="rerank",
            candidates=list(dict.fromkeys(self.candidates)),
            request_id=self.request_id,
            occurred_at=now_ms,
        )


class RetrainBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /retrain: fit the models to the complete history; a repeated event_id has no further effect."""

    event_id: str | None = None
    reason: str = ""
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=RETRAINER,
            kind="retrain",
            reason=self.reason,
            request_id=self.request_id,
            occurred_at=now_ms,
        )


def changes_of(patch: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that a patch changes, by name."""
    fields = ((name, getattr(patch, name)) for name in patch.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}


def profile_update(
    user_id: str, changes: Mapping[str, Any], at_ms: int, *, event_id: str | None = None
) -> types.ProfileUpdate:
    """Return the record that changes some fields of a profile.

    Args:
        user_id: The profile's user.
        changes: New values by field name (`schemas.limit.PROFILE_FIELDS`).
        at_ms: The time of the change, in ms since the epoch.
        event_id: The id of the event; a new one by default.

    Raises:
        InvalidError: there are no changes, or the time zone is unknown.
    """
    if not changes:
        raise InvalidError(None, f"state at least one of {', '.join(limit.PROFILE_FIELDS)}")
    if changes.get("timezone") is not None and zone_named(changes["timezone"]) is None:
        raise InvalidError("timezone", "must be the IANA name of a time zone, such as Europe/Lisbon")
    values = {**changes, "attributes": texts(changes.get("attributes", {}))}
    return types.ProfileUpdate(
        event_id=event_id or new_id(),
        user_id=user_id,
        kind="update",
        fields=list(changes),
        occurred_at=at_ms,
        **values,
    )


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
        raise invalid(error) from error
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


def _ms(time: Moment | None, now_ms: int) -> int:
    return now_ms if time is None else milliseconds(time)


def texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    """Return values as the strings that records hold: JSON, except strings, which stay; null values are omitted."""
    return {key: _text(value) for key, value in (values or {}).items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
