"""The feed role: the whole pipeline in one place.

items ────────────────────────────▶ catalog ──▶ item store
  │
  ├──────────────▶ view ◀── item-stats ◀── signal ◀── item-signals ◀─┐
  │                 │  ▲                                             │
  │                 │  └ neighbors, weights, versions ◀─ trainer     │
  │                 │                             ▲                  │
interactions, locations, profiles, triggers ──────┴──▶ user ─────────┤
                    │                                                │
                    ▼                                                ▼
      feed store ◀─ rank ◀──────────────────────────────────────  features
                    │
                    └──▶ feeds                  unusable ──▶ dead-letters
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal, Protocol, cast

from infra import heartbeat
from infra.feed_store import RedisFeedStore
from infra.item_store import RedisItemStore
from infra.provision import APP_ID, TABLES
from infra.publisher import Publisher
from infra.redis_client import connect
from infra.registry import Registry
from infra.settings import Settings
from streams.agents import catalog, rank, signal, user
from streams.broadcast import Broadcast
from streams.checkpoint import Checkpoint
from streams.context import Context
from streams.core.rank import new_blender
from streams.core.view import View
from streams.params import rank_params, signal_params, user_params
from streams.quarantine import Quarantine
from streams.transport import App, Limits, batch_topic, faust_app
from streams.transport import run as run_app
from topics import Topic
from topics.topic import INTERACTIONS, PARTITIONS

_PUBLISH_TIMEOUT_S = 120.0
"""How long the brokers may be away before a worker gives up and starts again from its last commit."""


class Agent(Protocol):
    """What the app needs of an agent."""

    checkpoint: Checkpoint

    async def process(self, event: Any) -> None:
        """Work on one batch."""

    def drop(self) -> None:
        """Forget what is not durable."""


def settle(app: App, sources: Iterable[Topic], agent: Agent) -> None:
    """Have an agent read its topics, checkpoint now and then, and start afresh after a rebalance."""

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            await agent.process(event)

    async def checkpoint() -> None:
        await agent.checkpoint.run()

    async def drop(_sender: App, _assigned: Any, **_: Any) -> None:
        agent.drop()

    name = type(agent).__name__
    app.agent(batch_topic(app, *(topic.name for topic in sources)), name=name)(read)
    app.timer(app.conf.broker_commit_interval / 2, name=f"{name} checkpoint")(checkpoint)
    app.on_drain(agent.checkpoint.force)
    app.on_partitions_assigned.connect(drop, weak=False)


async def run(settings: Settings, stop: asyncio.Event, *, view: View | None = None) -> None:
    """Run the feed role until `stop` is set. A view may be handed in where one that differs is wanted."""
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    publisher = Publisher(settings.kafka_bootstrap_servers, registry, timeout_s=_PUBLISH_TIMEOUT_S)
    redis = connect(settings.redis_url)
    quarantine = Quarantine(publisher, now_ms=now_ms)
    view = View(half_life_days=settings.cooccurrence_half_life_days) if view is None else view
    app = _app(settings)
    blender = new_blender()
    broadcast = Broadcast(settings.kafka_bootstrap_servers, view, blender, registry, quarantine)
    context = Context(app, settings, registry, publisher, quarantine, view, blender, broadcast, now_ms)
    users, items = (app.bytes_table(name, partitions=PARTITIONS) for name in TABLES)
    ranker = rank.RankAgent(context, RedisFeedStore(redis, ttl_days=settings.feed_ttl_days), rank_params(settings))
    settle(app, catalog.SOURCES, catalog.CatalogAgent(context, RedisItemStore(redis)))
    settle(app, user.SOURCES, user.UserAgent(context, users, user_params(settings)))
    settle(app, signal.SOURCES, signal.SignalAgent(context, items, signal_params(settings)))
    settle(app, rank.SOURCES, ranker)

    partitions: list[int] = []

    async def remember(_sender: App, assigned: Any, **_: Any) -> None:
        partitions[:] = sorted(tp.partition for tp in assigned if tp.topic == INTERACTIONS.name)

    app.on_partitions_assigned.connect(remember, weak=False)

    def describe() -> dict[str, Any]:
        return {
            "partitions": partitions,
            "view": broadcast.progress(),
            "stale": view.stale,
            "waiting": ranker.waiting,
            "items": len(view.items),
        }

    try:
        async with _beside(stop, broadcast.run(), ranker.run(), heartbeat.beat(redis, "feed", describe)):
            await run_app(app, stop)
    finally:
        await publisher.close()
        await redis.aclose()
        registry.close()


@asynccontextmanager
async def _beside(stop: asyncio.Event, *coroutines: Any) -> AsyncIterator[None]:
    """Run coroutines beside the app; when one fails, stop the app and raise what it failed with."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for error in failed:
            if error is not None:
                raise error


def _app(settings: Settings) -> App:
    return faust_app(
        APP_ID,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        datadir=settings.home / "worker" / settings.worker_id,
        store=cast(Literal["memory", "rocksdb"], settings.worker_store),
        limits=Limits(
            batch_records=settings.batch_records,
            batch_bytes=settings.batch_bytes,
            batch_wait_ms=settings.batch_wait_ms,
            unacked_records=settings.unacked_records,
        ),
        commit_interval_s=settings.commit_interval_s,
    )


def now_ms() -> int:
    """Return the wall clock in ms since the epoch."""
    return time.time_ns() // 1_000_000
