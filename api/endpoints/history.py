"""Endpoints of the interaction log: the interactions of the last day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.error import StoreAwayError
from api.http.query import LimitQuery, parse_query, user_in
from api.http.response import json_response
from domain.timestamp import DAY_MS
from schemas.types import Interaction


class _StoredInteraction(msgspec.Struct, gc=False):
    category: str


class InteractionEntry(msgspec.Struct, gc=False, omit_defaults=True):
    """One interaction, without the context, which is internal to the pipeline."""

    event_id: str
    action: str
    occurred_at: int
    item_id: str | None = None
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None


class InteractionHistory(msgspec.Struct, gc=False):
    """A user's interactions since a time (ms since the epoch), newest first."""

    user_id: str
    since: int
    interactions: list[InteractionEntry]


class HistoryAggregate(msgspec.Struct, gc=False):
    """Counts of a user's interactions since a time (ms since the epoch), by action and by category."""

    user_id: str
    since: int
    count: int
    first_at: int | None
    last_at: int | None
    items: int
    actions: dict[str, int]
    categories: dict[str, int]


_stored_interaction = msgspec.json.Decoder(_StoredInteraction)


class HistoryEndpoints:
    """Endpoints of the interaction log."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/interaction/aggregate/{user_id}",
                self.aggregate,
                answers={200: HistoryAggregate},
                errors=(StoreAwayError,),
            ),
            Endpoint(
                "GET",
                "/interaction/{user_id}",
                self.show,
                query=LimitQuery,
                answers={200: InteractionHistory},
                errors=(StoreAwayError,),
            ),
        ]

    async def show(self, request: Request) -> Response:
        """Return a user's interactions of the last day, newest first."""
        user_id, limit = user_in(request.path_params["user_id"]), parse_query(request, LimitQuery).limit
        entries, since_ms = await self._read(user_id)
        return json_response(InteractionHistory(user_id, since_ms, [_entry(event) for event in entries[:limit]]))

    async def aggregate(self, request: Request) -> Response:
        """Return counts of a user's interactions of the last day, by action and by category."""
        user_id = user_in(request.path_params["user_id"])
        entries, since_ms = await self._read(user_id)
        items = [entry.item_id for entry in entries if entry.item_id is not None]
        rows, _ = await self._context.items.read(items)
        return json_response(
            HistoryAggregate(
                user_id=user_id,
                since=since_ms,
                count=len(entries),
                first_at=entries[-1].occurred_at if entries else None,
                last_at=entries[0].occurred_at if entries else None,
                items=len(set(items)),
                actions=Counter(entry.action for entry in entries),
                categories=Counter(_stored_interaction.decode(data).category for data in rows if data is not None),
            )
        )

    async def _read(self, user_id: str) -> tuple[list[Interaction], int]:
        clients = self._context.clients
        return await clients.interactions.read(user_id), clients.now_ms() - DAY_MS


def _entry(event: Interaction) -> InteractionEntry:
    return msgspec.convert(event, InteractionEntry, from_attributes=True)
