"""JSON responses that must not be cached."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


class Accepted(msgspec.Struct, frozen=True):
    """The event was published. A repeated id counts once within a day; ids are unique per user."""

    event_id: str


class AcceptedInteraction(Accepted, frozen=True):
    """The interaction was published; `token` is its place in the log, for `GET /content?after=`."""

    token: str


class AcceptedBatch(msgspec.Struct, frozen=True):
    """The number and ids of the published events, in request order."""

    accepted: int  # wire
    event_ids: list[str]


def json_response(body: Any, status: int = 200, *, tag: str | None = None) -> Response:
    """Return a body as a JSON response, with an entity tag if one is given."""
    headers = {"Cache-Control": "no-store"} | ({} if tag is None else {"ETag": tag})
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def accepted(event_id: str) -> Response:
    """Return the response to a published event."""
    return json_response(Accepted(event_id), 202)


def accepted_batch(event_ids: list[str]) -> Response:
    """Return the response to a published batch."""
    return json_response(AcceptedBatch(len(event_ids), event_ids), 202)
