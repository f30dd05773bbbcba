"""The API held against its own document, with requests that nobody thought of: no 5xx, nothing undocumented.

`make fuzz` looks for some five minutes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app, endpoints
from api.context import Clients
from api.openapi.openapi import openapi
from api.security.guard import Guard
from infra.address import Addresses
from infra.fakes.memory_publisher import MemoryPublisher
from infra.fakes.serve import serve_app
from infra.postgres.catalog_filter import PostgresCatalogListing
from infra.postgres.pool import LazyPool
from infra.postgres.shop_archive import PostgresShopArchive
from infra.redis.stores.feed_store import DEFAULT_FEED, MemoryFeedStore, reranked
from infra.redis.stores.item_store import MemoryItemStore
from infra.settings import Settings
from schemas.types import Trigger
from tests.build import a_feed, a_shop_search, an_item
from tests.unit.api.builder import a_context
from topics import Topic
from topics.topic import TRIGGERS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ADMIN = {"Authorization": "Bearer sesame"}
ENDLESS = ["/content/stream"]


class Worker(MemoryPublisher):
    """Keeps nothing, and ranks given lists at once, as a worker would."""

    def __init__(self, feeds: MemoryFeedStore) -> None:
        super().__init__()
        self._feeds = feeds

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> dict[int, int]:
        for value in values:
            if topic is TRIGGERS and isinstance(value, Trigger) and value.kind == "rerank":
                await self._feeds.write([a_feed(user_id=reranked(value))])
        return {0: 0}


def document() -> dict[str, Any]:
    context = a_context()
    api_document = openapi(endpoints(context, Guard(context)), version="1", is_strict=False)
    return msgspec.json.decode(msgspec.json.encode(api_document), type=dict[str, Any])


schema = schemathesis.openapi.from_dict(document()).exclude(path=ENDLESS)
schema.config.phases.coverage.enabled = EXAMPLES >= 100  # each bound of each value, which takes its time


@pytest.fixture(scope="module")
def url(stack: Addresses) -> Iterator[str]:
    """A served API, in a thread of its own, that knows some users, over a PostgreSQL that holds no items."""
    ready: Future[str] = Future()
    stop = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        feeds, items = MemoryFeedStore(), MemoryItemStore()
        await feeds.write([a_feed(user_id="alex"), a_feed(user_id=DEFAULT_FEED)])
        await items.write([an_item("i1"), an_item("i2")])
        connections = LazyPool(stack.database_url)
        clients = Clients(
            publisher=Worker(feeds),
            feeds=feeds,
            items=items,
            catalog_listing=PostgresCatalogListing(connections),
            shop_archive=PostgresShopArchive(connections),
            search=a_shop_search(connections),
            closers=[connections.close],
        )
        async with serve_app(create_app(Settings(admin_token="sesame"), clients)) as address:
            ready.set_result(address)
            await stop.wait()
        await clients.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield ready.result()
    loops[0].call_soon_threadsafe(stop.set)
    thread.join()


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)
def test_what_is_answered_is_documented(case: schemathesis.Case, url: str) -> None:
    answer = case.call(base_url=url, headers=ADMIN)
    case.validate_response(answer, checks=CHECKS)
