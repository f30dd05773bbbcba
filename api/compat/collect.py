"""The video engine's collection endpoints: requests to collect from the external API, and their progress.

The collect role does the work. Callers authenticate with the external API's own token, `Flic-Token`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.body import new_id
from api.http.endpoint import Endpoint
from api.http.error import BrokerUnavailableError, NoTokenError, StoreUnavailableError
from api.http.query import parse_query
from api.http.response import json_response
from infra.redis.stores.collection_store import Collection
from infra.socialverse import LISTS
from schemas.limit import COLLECTOR
from schemas.types import Trigger
from topics.topic import TRIGGERS


class CollectQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The first page to fetch, and the number of records per page."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=1_000)] = 1_000


class CollectAccepted(msgspec.Struct):
    """The collection request was published; the collection's `request_id` will be the event id."""

    status: str
    collection: str
    page: int
    page_size: int
    event_id: str


class CollectionStatus(msgspec.Struct):
    """The progress of each collection."""

    status: str
    """running while at least one collection is."""
    collections: Mapping[str, Collection]


class CollectEndpoints:
    """Endpoints of collections."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        calls = [
            Endpoint(
                "POST",
                f"/api/v1/collect/{name}",
                self.collect,
                scope="public",
                query=CollectQuery,
                answers={202: CollectAccepted},
                errors=(BrokerUnavailableError, NoTokenError),
                summary=f"Request the collection of {name.replace('-', ' ')}; needs the header Flic-Token.",
            )
            for name in LISTS
        ]
        status = Endpoint(
            "GET",
            "/api/v1/collection-status",
            self.status,
            scope="public",
            answers={200: CollectionStatus},
            errors=(StoreUnavailableError, NoTokenError),
        )
        return [*calls, status]

    async def collect(self, request: Request) -> Response:
        """Request a collection."""
        self._admit(request)
        name, query = request.url.path.rpartition("/")[2], parse_query(request, CollectQuery)
        trigger = Trigger(
            event_id=new_id(),
            user_id=COLLECTOR,
            kind="collect",
            reason=name,
            context={"page": str(query.page), "page_size": str(query.page_size)},
            occurred_at=self._context.clients.now_ms(),
        )
        await self._context.publish(TRIGGERS, [trigger])
        return json_response(CollectAccepted("accepted", name, query.page, query.page_size, trigger.event_id), 202)

    async def status(self, request: Request) -> Response:
        """Return the progress of the collections; needs the header Flic-Token."""
        self._admit(request)
        collections = await self._context.clients.collections.read()
        running = any(one.state == "running" for one in collections.values())
        return json_response(CollectionStatus("running" if running else "idle", collections))

    def _admit(self, request: Request) -> None:
        """Check the token; without a configured token every request is rejected."""
        expected = self._context.settings.flic_token.encode()
        if not (expected and hmac.compare_digest(request.headers.get("flic-token", "").encode(), expected)):
            raise NoTokenError
