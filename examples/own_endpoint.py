"""The API with an endpoint of your own, which is guarded, limited and documented like all others.

An endpoint declares its path, types and errors; the app derives route, guard and OpenAPI from that. The stores here are
in memory, so it runs without servers; `cli/commands/stack/api.py` shows the clients of the real ones.

Run it, then open http://127.0.0.1:8001/categories/alex and http://127.0.0.1:8001/docs:

    python examples/own_endpoint.py
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from api.app import create_app
from api.context import ApiContext, Clients
from api.http.endpoint import Endpoint
from api.http.error import NoFeedError, StoreUnavailableError
from api.http.response import json_response
from infra import clock
from infra.fakes.memory_publisher import MemoryPublisher
from infra.redis.stores.feed_store import MemoryFeedStore
from infra.redis.stores.item_store import MemoryItemStore
from infra.settings import Settings
from schemas.types import Feed, Item


class Categories(msgspec.Struct):
    """The number of items of each category in a feed."""

    user_id: str
    counts: dict[str, int]


class CategoryEndpoints:
    """The endpoint of the categories of a feed."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        errors = (NoFeedError, StoreUnavailableError)
        return [Endpoint("GET", "/categories/{user_id}", self.categories, answers={200: Categories}, errors=errors)]

    async def categories(self, request: Request) -> Response:
        """Return how many items of each category a user's feed holds."""
        user_id = request.path_params["user_id"]
        feed = await self._context.feed_of(user_id)
        items = await self._context.catalog_items(feed.items)
        return json_response(Categories(user_id, Counter(item.category for item in items.values())))


async def build() -> Starlette:
    """Return the app, with one feed to read."""
    feeds, items = MemoryFeedStore(), MemoryItemStore()
    now_ms = clock.now_ms()
    catalog = [
        Item(item_id=f"i{number}", category=category, title=f"Item {number}", created_at=now_ms)
        for number, category in enumerate(("music", "films", "music"))
    ]
    await items.write(catalog)
    await feeds.write(
        [
            Feed(
                user_id="alex",
                features_version=1,
                generated_at=now_ms,
                watermark=now_ms,
                model="example",
                items=[item.item_id for item in catalog],
                scores=[0.9, 0.5, 0.1],
                sources=["popular"] * 3,
                reasons=["Popular"] * 3,
                parts={},
            )
        ]
    )
    clients = Clients(publisher=MemoryPublisher(), feeds=feeds, items=items)
    return create_app(Settings(), clients, more_endpoints=[lambda context: CategoryEndpoints(context).endpoints()])


if __name__ == "__main__":
    uvicorn.run(asyncio.run(build()), host="127.0.0.1", port=8001)
