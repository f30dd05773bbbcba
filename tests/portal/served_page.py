"""The page, served on a pipeline that answers as the workers would."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import uvicorn
from msgspec.structs import replace

import portal
from api.app import create_app
from api.context import Clients
from infra import clock
from infra.redis.metrics.experiment_results_store import MemoryExperimentResultsStore
from infra.redis.stores.experiment_store import MemoryExperimentStore
from infra.redis.stores.feed_store import MemoryFeedStore
from infra.redis.stores.item_store import MemoryItemStore
from infra.redis.stores.push_store import MemoryPushStore
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from schemas.types import Devices, Feed, Profile, ProfileUpdate, PushPreferences, PushRequest
from tests.build import a_profile, an_item
from tests.portal.browser import CHROMIUM
from topics import Topic

ITEMS = [f"i{number}" for number in range(1, 31)]
NASTY = '<img src=x onerror="document.title=1">'
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


class Pipeline:
    """Answers every interaction as the workers would: its item leaves, and what lay last comes first."""

    def __init__(self) -> None:
        self.feeds = MemoryFeedStore()
        self.pushes = MemoryPushStore()
        self.portraits = MemoryUserProfileStore()
        self.experiments = MemoryExperimentStore()
        self.experiment_results = MemoryExperimentResultsStore()
        self.items_by_user: dict[str, list[str]] = {}
        self.events: list[Any] = []
        self.impressions: list[Any] = []

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> dict[int, int]:
        if topic.name == "impressions.v1":
            self.impressions += values
            return {0: 0}
        for value in values if topic.name != "audits.v1" else ():
            self.events.append(value)
            if isinstance(value, ProfileUpdate):
                await self.portraits.write_stated([await self._merged(value)])
            if isinstance(value, PushRequest):
                await self.pushes.write_devices([await self._preferring(value)])
            if topic.name != "interactions.v1" or value.item_id is None:
                continue
            rest = [item for item in self.items_by_user.get(value.user_id, ITEMS) if item != value.item_id]
            await self.rank(value.user_id, [rest[-1], *rest[:-1]])
        return {0: 0}

    async def _merged(self, update: ProfileUpdate) -> Profile:
        _, profile = await self.portraits.read(update.user_id)
        values = {name: getattr(update, name) for name in update.fields}
        return replace(profile or a_profile(user_id=update.user_id), **values)

    async def _preferring(self, request: PushRequest) -> Devices:
        devices = await self.pushes.read_devices(request.user_id)
        values = {name: getattr(request.preferences, name) for name in request.fields}
        preferences = replace(devices.preferences if devices else PushPreferences(), **values)
        return Devices(user_id=request.user_id, devices=[], preferences=preferences, changed_at=clock.now_ms())

    async def rank(self, user_id: str, items: list[str]) -> None:
        self.items_by_user[user_id] = items
        now_ms = clock.now_ms()
        scores = [1.0 - place / 100 for place in range(len(items))]
        feed = Feed(
            user_id=user_id,
            features_version=now_ms + len(self.events),
            generated_at=now_ms,
            watermark=now_ms,
            model="blend-1",
            items=items,
            scores=scores,
            sources=["trending"] * len(items),
            reasons=["Trending now"] * len(items),
            parts={"trending": [score / 2 for score in scores], "affinity": [score / 2 for score in scores]},
        )
        await self.feeds.write([feed])


@asynccontextmanager
async def serving(pipeline: Pipeline, port: int = 0, *, settings: Settings | None = None) -> AsyncIterator[str]:
    items = MemoryItemStore()
    await items.write([an_item(item_id, description="A concert.") for item_id in [*ITEMS, "elsewhere"]])
    await items.write([an_item("i2", title=NASTY, description=NASTY)])
    await items.write([an_item("broken", title="A\u2028B\x85C")])
    await items.write([an_item("i7", category="movies", topics=["comedy"], image_url="/portal/icon.svg")])

    async def people() -> bytes:
        return msgspec.json.encode([portal.DemoUser("ann", "jazz"), portal.DemoUser("bob")])

    app = create_app(
        settings or Settings(),
        Clients(
            publisher=pipeline,
            feeds=pipeline.feeds,
            items=items,
            push_store=pipeline.pushes,
            user_profiles=pipeline.portraits,
            experiments=pipeline.experiments,
            experiment_results=pipeline.experiment_results,
        ),
        more_routes=portal.routes(people, ["Claude"]),
    )
    listener = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


def order(selector: str = ".feed .card") -> str:
    return f"[...document.querySelectorAll('{selector}')].map(card => card.dataset.item)"
