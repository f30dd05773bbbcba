"""Feed role: the whole pipeline in one place.

items ────────────────────────────▶ catalog ──▶ item store
  │
  ├──────────▶ snapshot ◀── item-stats ◀── signal ◀── item-signals ◀─┐
  │                 │  ▲                                             │
  │                 │  └ neighbors, weights, versions ◀─ trainer     │
  │                 │                             ▲                  │
interactions, locations, profiles, triggers ──────┴──▶ user ─────────┤
                          ▲  ▲                          │            │
     profile-updates ─────┴──┴─ profile (merges)        │            ▼
                                                        ▼         features
      feed store ◀──────────────────────────────────── rank          │
                                                        │  ▲         │
                                                        │  └─ combine ◀─ llm-scores ◀─ score role
                                                        ▼                                 ▲
                                                      feeds ──────────────────────────────┘

unusable ──▶ dead-letters
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from infra import clock
from infra.kafka.provision import APP_ID, TABLES
from infra.kafka.publisher import open_publisher
from infra.kafka.registry import Registry
from infra.redis import event_rates, heartbeat
from infra.redis.connection import connect
from infra.redis.projection import RedisProjection
from infra.redis.stores.feed_store import RERANKED_TTL_S, RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.settings import Settings
from streams.agents import catalog, combine, profile, rank, rerank, retrieve, signal, user
from streams.core.ranking.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.llm_blend import LlmScoreCache
from streams.core.ranking.pipeline import new_blender
from streams.core.triggers.active_users import ActiveUsers
from streams.roles.feed.scheduled_triggers import ScheduledTriggerPublisher
from streams.runtime.agent_context import AgentContext
from streams.runtime.core_params import (
    combine_params,
    fetchers,
    prefetch_params,
    rank_params,
    signal_params,
    user_params,
)
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.faust_role import PUBLISH_TIMEOUT_S, assignment, new_app, register_agent
from streams.runtime.global_tables import GlobalTables
from streams.runtime.refill import Refills
from streams.runtime.supervise import run_alongside
from streams.transport import App
from streams.transport import run as run_app
from topics.topic import DAY_MS, FEEDS, INTERACTIONS, ITEM_SIGNALS, ITEMS, PARTITIONS

_REMEMBERED = 8_192
"""Item signals cached until they come back to the worker that wrote them."""


def run_beside_worker(app: App, trigger_publisher: ScheduledTriggerPublisher) -> None:
    """Tell the publisher of scheduled triggers when the table is restored, and when partitions are revoked."""

    async def forget(_sender: App, _revoked: Any, **_: Any) -> None:
        trigger_publisher.forget()

    async def restored(_sender: App, **_: Any) -> None:
        trigger_publisher.restored()

    app.on_partitions_revoked.connect(forget, weak=False)
    app.on_rebalance_complete.connect(restored, weak=False)


async def run(
    settings: Settings,
    stop: asyncio.Event,
    *,
    catalog_snapshot: CatalogSnapshot | None = None,
    now_ms: Callable[[], int] = clock.now_ms,
) -> None:
    """Run the feed role until `stop` is set.

    Args:
        settings: The settings of the worker.
        stop: Ends the role once it is set.
        catalog_snapshot: The catalog snapshot to use; a new one by default.
        now_ms: The clock, in ms since the epoch.
    """
    registry = Registry(settings.schema_registry_url)
    await asyncio.to_thread(registry.connect)
    registry.codec(ITEM_SIGNALS.record).cache_decoded(_REMEMBERED)
    publisher = await open_publisher(settings.kafka_bootstrap_servers, registry, timeout_s=PUBLISH_TIMEOUT_S)
    redis = connect(settings.redis_url)
    dead_letters = DeadLetterQueue(publisher, now_ms=now_ms)
    catalog_snapshot = (
        CatalogSnapshot(half_life_days=settings.cooccurrence_half_life_days)
        if catalog_snapshot is None
        else catalog_snapshot
    )
    app = await new_app(settings, APP_ID, "worker")
    blender = new_blender()
    global_tables = GlobalTables(settings.kafka_bootstrap_servers, catalog_snapshot, blender, registry, dead_letters)
    context = AgentContext(
        app, settings, registry, publisher, dead_letters, catalog_snapshot, blender, global_tables, now_ms
    )
    users, items, profiles = (app.bytes_table(name, partitions=PARTITIONS) for name in TABLES)
    feeds = RedisFeedStore(redis, ttl_days=settings.feed_ttl_days)
    answers = RedisFeedStore(redis, ttl_days=RERANKED_TTL_S * 1000 / DAY_MS)
    llm_scores, params = LlmScoreCache(combine_params(settings)), rank_params(settings)
    ranker = rank.Ranker(context, feeds, llm_scores, params)
    user_settings = user_params(settings)
    active_users = ActiveUsers(user_settings.triggers)
    user_agent = user.UserAgent(context, users, user_settings, active_users=active_users, ranker=ranker)
    trigger_publisher = ScheduledTriggerPublisher(
        active_users, user_agent.stored, publisher, params=user_settings.triggers, now_ms=now_ms
    )
    retrieve_agent = retrieve.RetrieveAgent(
        context, user_agent.peek, RedisPrefetchStore(redis), fetchers(settings), prefetch_params(settings)
    )
    catalog_agent = catalog.CatalogAgent(context, RedisItemStore(redis))
    register_agent(app, catalog.SOURCES, catalog_agent)
    register_agent(app, profile.SOURCES, profile.ProfileAgent(context, profiles))
    register_agent(app, user.SOURCES, user_agent)
    register_agent(app, retrieve.SOURCES, retrieve_agent)
    register_agent(app, rerank.SOURCES, rerank.RerankAgent(context, user_agent.features, answers, params))
    signal_agent = signal.SignalAgent(context, items, signal_params(settings))
    register_agent(app, signal.SOURCES, signal_agent)
    register_agent(app, combine.SOURCES, combine.CombineAgent(context, user_agent.features, llm_scores, ranker))

    assigned = assignment(app)
    refills = Refills(settings.kafka_bootstrap_servers, registry, RedisProjection(redis), assigned)
    refills.add(ITEMS, catalog_agent.refill)
    refills.add(FEEDS, ranker.refill, owned=INTERACTIONS)
    run_beside_worker(app, trigger_publisher)

    def describe() -> dict[str, Any]:
        return {
            "partitions": sorted(partition for topic, partition in assigned() if topic == INTERACTIONS.name),
            "view": global_tables.progress(),
            "ready_at": global_tables.ready_at,
            "stale": catalog_snapshot.is_stale,
            "waiting": ranker.waiting,
            "items": len(catalog_snapshot.items),
            "roster": len(active_users),
            "trimmed": dict(user_agent.trimmed + signal_agent.trimmed + catalog_snapshot.trimmed),
            "limited": dict(user_agent.limited),
            "removed": dict(ranker.removed),
            event_rates.KEY: {
                "users": user_agent.rates.highest(event_rates.LISTED),
                "items": signal_agent.rates.highest(event_rates.LISTED),
            },
            **publisher.describe(),
            **dead_letters.describe(),
        }

    try:
        heartbeats = heartbeat.publish_heartbeat(redis, "feed", describe)
        async with run_alongside(
            stop, global_tables.run(), ranker.run(), trigger_publisher.run(), refills.run(), heartbeats
        ):
            await run_app(app, stop)
    finally:
        await publisher.close()
        await redis.aclose()
        registry.close()
