"""What users did within the last day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.content import limit_in, user_in
from api.context import Context
from infra.interaction_log import DAY_MS
from schemas.types import Interaction


class _Filed(msgspec.Struct, gc=False):
    category: str


class _Shown(msgspec.Struct, gc=False, omit_defaults=True):
    """One interaction; its context is the pipeline's business."""

    event_id: str
    action: str
    occurred_at: int
    item_id: str | None = None
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None


_filed = msgspec.json.Decoder(_Filed)


class HistoryEndpoints:
    """The endpoints of the interaction log."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> Sequence[BaseRoute]:
        """Return their routes."""
        return [
            Route("/interaction/aggregate/{user_id:path}", self.aggregate, methods=["GET"]),
            Route("/interaction/{user_id:path}", self.show, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """Answer with a user's interactions, newest first."""
        user_id, limit = user_in(request.path_params["user_id"]), limit_in(request.query_params)
        entries, since_ms = await self._read(user_id)
        return _json(
            {"user_id": user_id, "since": since_ms, "interactions": [_shown(event) for event in entries[:limit]]}
        )

    async def aggregate(self, request: Request) -> Response:
        """Answer with how often a user did what, and in which categories."""
        user_id = user_in(request.path_params["user_id"])
        entries, since_ms = await self._read(user_id)
        items = [entry.item_id for entry in entries if entry.item_id is not None]
        found, _ = await self._context.items.read(items)
        return _json(
            {
                "user_id": user_id,
                "since": since_ms,
                "count": len(entries),
                "first_at": entries[-1].occurred_at if entries else None,
                "last_at": entries[0].occurred_at if entries else None,
                "items": len(set(items)),
                "actions": Counter(entry.action for entry in entries),
                "categories": Counter(_filed.decode(data).category for data in found if data is not None),
            }
        )

    async def _read(self, user_id: str) -> tuple[list[Interaction], int]:
        clients = self._context.clients
        return await clients.interactions.read(user_id), clients.now_ms() - DAY_MS


def _shown(event: Interaction) -> _Shown:
    return msgspec.convert(event, _Shown, from_attributes=True)


def _json(body: Any) -> Response:
    return Response(msgspec.json.encode(body), headers={"Cache-Control": "no-store"}, media_type="application/json")
