"""What endpoints answer with: JSON that nobody keeps."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response


class Accepted(msgspec.Struct, frozen=True):
    """The event is in its topic. Sent again with the same id within a day, it counts once; ids are unique per user."""

    event_id: str


class AcceptedBatch(msgspec.Struct, frozen=True):
    """So many events are in their topic, in the order they were sent."""

    accepted: int
    event_ids: list[str]


def json_response(body: Any, status: int = 200, *, tag: str | None = None) -> Response:
    """Return the response of a body, with an entity tag if there is one."""
    headers = {"Cache-Control": "no-store"} | ({} if tag is None else {"ETag": tag})
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def accepted(event_id: str) -> Response:
    """Return the response to one event that was published."""
    return json_response(Accepted(event_id), 202)


def accepted_batch(event_ids: list[str]) -> Response:
    """Return the response to many."""
    return json_response(AcceptedBatch(len(event_ids), event_ids), 202)
