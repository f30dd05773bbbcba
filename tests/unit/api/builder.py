"""What the API's tests start from: an app over memory stores, and one builder per type."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
from starlette.applications import Starlette

from api.app import create_app
from api.context import ApiContext, Clients
from api.endpoints.metrics import Metrics
from infra.fakes.memory_publisher import MemoryPublisher
from infra.health.health_check import HealthCheck
from infra.redis.stores.feed_store import MemoryFeedStore
from infra.redis.stores.interaction_log import MemoryInteractionLog
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.settings import Settings
from tests.build import T0_MS
from topics import Topic

NOW_MS = T0_MS + 2_000


@dataclass
class World:
    """An app's surroundings, in memory."""

    publisher: MemoryPublisher = field(default_factory=MemoryPublisher)
    feeds: MemoryFeedStore = field(default_factory=MemoryFeedStore)
    items: MemoryItemStore = field(default_factory=MemoryItemStore)
    interactions: MemoryInteractionLog = field(
        default_factory=lambda: MemoryInteractionLog(clock_s=lambda: NOW_MS / 1_000)
    )
    health_checks: dict[str, HealthCheck] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)
    """Clients to use instead of these."""

    def app(self, **settings: Any) -> Starlette:
        """Return an app over them."""
        clients = {
            "publisher": self.publisher,
            "feeds": self.feeds,
            "items": self.items,
            "interactions": self.interactions,
            "health_checks": self.health_checks,
            "now_ms": lambda: NOW_MS,
        }
        return create_app(replace(Settings(), **settings), Clients(**(clients | self.clients)))

    @asynccontextmanager
    async def http(self, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client of a running app."""
        app = self.app(**settings)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://api") as client,
        ):
            await asyncio.sleep(0)  # the caches begin to follow their stores
            yield client


async def published(world: World, topic: Topic, request: asyncio.Task[httpx.Response]) -> list[Any]:
    """Return the records of a topic once there is one, or once a request has ended without any."""
    publishing = asyncio.ensure_future(world.publisher.wait_for(topic))
    await asyncio.wait({publishing, request}, return_when=asyncio.FIRST_COMPLETED)
    publishing.cancel()
    return world.publisher.values_of(topic)


def a_context(**settings: Any) -> ApiContext:
    """Return what endpoints are made of."""
    world = World()
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items)
    return ApiContext(replace(Settings(), **settings), clients, Metrics(), ItemCache(world.items))


def an_interaction_body(**overrides: Any) -> dict[str, Any]:
    """Return an interaction as a client sends it."""
    return {"user_id": "ann", "item_id": "i1", "action": "click"} | overrides
