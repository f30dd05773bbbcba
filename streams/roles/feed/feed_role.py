"""Feed role: the whole pipeline in one place.

items ────────────────────────────▶ catalog ──▶ item store
  │
  ├──────────▶ snapshot ◀── item-stats ◀── signal ◀── item-signals ◀─┐
  │                 │  ▲  ▲                                          │
  │                 │  │  └ neighbors ◀─ links ◀─ link-updates ◀─────┤
  │                 │  └ weights, versions ◀──── trainer             │
  │                 │                             ▲                  │
interactions, locations, profiles, triggers ──────┴──▶ user ─────────┤
                          ▲  ▲                          │            │
     profile-updates ─────┴──┴─ profile (merges)        │            ▼
                                                        ▼         features
      feed store ◀──────────────────────────────────── rank          │
                                                        │  ▲         │
                                                        │  └─ combine ◀─ llm-scores ◀─ score role
     experiments ──────────────────────────────────────▶│                                 ▲
                                                        ├──▶ feeds ───────────────────────┘
                                                        ├──▶ exposures ──▶ user
                                                        └──▶ shadow-comparisons

unusable ──▶ dead-letters
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from domain.timestamp import DAY_MS
from infra import clock
from infra.kafka.admin.provision import TABLES, consumer_group
from infra.redis import event_rates
from infra.redis.metrics.online_metrics_store import RedisOnlineMetricsStore
from infra.redis.projection import RedisProjection
from infra.redis.stores.feed_store import RERANKED_TTL_S, RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from infra.settings import Settings
from streams.agents import catalog, combine, profile, rank, rerank, retrieve, signal, user
from streams.agents.agent_context import AgentContext
from streams.agents.exposures import ExposureRecorder
from streams.agents.outcomes import OutcomeRecorder
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender
from streams.core.ranking.stages.llm_blend import LlmScoreCache
from streams.core.triggers.active_users import ActiveUsers
from streams.roles.feed.online_metrics_writer import OnlineMetricsWriter
from streams.roles.feed.scheduled_triggers import ScheduledTriggerPublisher
from streams.runtime.arm_params import ExperimentParams
from streams.runtime.core_params import (
    fetchers,
    llm_blend_params,
    prefetch_params,
    signal_params,
    user_params,
)
from streams.runtime.faust_role import PUBLISH_TIMEOUT_S, assignment, new_app, register_agent
from streams.runtime.refill.store_refill import Refills
from streams.runtime.role import open_role
from streams.runtime.state.global_tables import GlobalTables, new_catalog
from streams.runtime.user_eraser import RedisUserEraser
from streams.transport import App
from streams.transport import run as run_app
from topics.topic import FEEDS, INTERACTIONS, ITEM_SIGNALS, ITEMS, PARTITIONS

_REMEMBERED = 8_192
"""Item signals cached until they come back to the worker that wrote them."""


class _FeedAgents:
    """The agents of the role, registered in the order of the flow."""

    def __init__(
        self, context: AgentContext, redis: Redis, experiments: ExperimentParams, active_users: ActiveUsers
    ) -> None:
        app, settings = context.app, context.settings
        users, items, profiles = (app.bytes_table(name, partitions=PARTITIONS) for name in TABLES)
        feeds = RedisFeedStore(redis, ttl_days=settings.feed_ttl_days)
        reranked_feeds = RedisFeedStore(redis, ttl_days=RERANKED_TTL_S * 1000 / DAY_MS)
        llm_scores = LlmScoreCache(llm_blend_params(settings))
        user_settings = user_params(settings)
        self.active_users = active_users
        self.catalog = catalog.CatalogAgent(context, RedisItemStore(redis))
        self.outcomes = outcomes = OutcomeRecorder(
            context.publisher, rating_scale=user_settings.rating_scale, now_ms=context.now_ms
        )
        exposures = ExposureRecorder(context.publisher, experiments.table)
        self.ranker = rank.Ranker(context, feeds, llm_scores, experiments, outcomes=outcomes, exposures=exposures)
        self.user = user.UserAgent(
            context,
            users,
            user_settings,
            active_users=self.active_users,
            ranker=self.ranker,
            outcomes=outcomes,
            exposures=exposures,
            eraser=RedisUserEraser(redis, "feed"),
        )
        self.signal = signal.SignalAgent(context, items, signal_params(settings))
        retrieve_agent = retrieve.RetrieveAgent(
            context, self.user.peek, RedisPrefetchStore(redis), fetchers(settings), prefetch_params(settings)
        )
        register_agent(app, catalog.INPUT_TOPICS, self.catalog)
        register_agent(app, profile.INPUT_TOPICS, profile.ProfileAgent(context, profiles))
        register_agent(app, user.INPUT_TOPICS, self.user)
        register_agent(app, retrieve.INPUT_TOPICS, retrieve_agent)
        rerank_agent = rerank.RerankAgent(context, self.user.features, reranked_feeds, experiments, exposures)
        register_agent(app, rerank.INPUT_TOPICS, rerank_agent)
        register_agent(app, signal.INPUT_TOPICS, self.signal)
        combine_agent = combine.CombineAgent(context, self.user.features, llm_scores, self.ranker)
        register_agent(app, combine.INPUT_TOPICS, combine_agent)
        self.online_metrics = OnlineMetricsWriter(outcomes.evaluation, RedisOnlineMetricsStore(redis))
        self.trigger_publisher = ScheduledTriggerPublisher(
            self.active_users,
            self.user.stored,
            context.publisher,
            params=user_settings.triggers,
            now_ms=context.now_ms,
        )

    def describe(self) -> dict[str, Any]:
        """Return the agents' figures for the heartbeat."""
        return {
            "waiting": self.ranker.waiting,
            "active_users": len(self.active_users),
            "limited": dict(self.user.limit_counts),
            "served": dict(self.outcomes.evaluation.totals),
            "removed": dict(self.ranker.removed_counts),
            "shadows": {
                "comparisons": self.ranker.shadows.comparison_count,
                "failures": self.ranker.shadows.failure_count,
            },
            event_rates.KEY: {
                "users": self.user.rates.highest(event_rates.LISTED),
                "items": self.signal.rates.highest(event_rates.LISTED),
            },
        }


def run_beside_worker(app: App, trigger_publisher: ScheduledTriggerPublisher) -> None:
    """Tell the publisher of scheduled triggers when the table is restored, and when partitions are revoked."""

    async def forget(_sender: App, _partitions: Any, **_: Any) -> None:
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
    async with open_role("feed", settings, now_ms=now_ms, publish_timeout_s=PUBLISH_TIMEOUT_S) as role:
        role.registry.codec(ITEM_SIGNALS.record).cache_decoded(_REMEMBERED)
        catalog_snapshot = catalog_snapshot or new_catalog(settings)
        app, blender = await new_app(settings, consumer_group("feed"), "worker"), new_blender()
        experiments, active_users = ExperimentParams(settings), ActiveUsers(user_params(settings).triggers)
        global_tables = GlobalTables(
            settings.kafka_bootstrap_servers,
            catalog_snapshot,
            blender,
            role.registry,
            role.dead_letters,
            experiments=experiments,
            on_new_item=lambda item: active_users.arrive(item, now_ms=now_ms()),
        )
        context = AgentContext(
            app,
            settings,
            role.registry,
            role.publisher,
            role.dead_letters,
            role.erasures,
            catalog_snapshot,
            blender,
            global_tables,
            now_ms,
        )
        agents = _FeedAgents(context, role.redis, experiments, active_users)
        assigned_partitions = assignment(app)
        refills = Refills(role, RedisProjection(role.redis), assigned_partitions)
        refills.add(ITEMS, agents.catalog.refill)
        refills.add(FEEDS, agents.ranker.refill, owner_topic=INTERACTIONS)
        run_beside_worker(app, agents.trigger_publisher)

        def describe() -> dict[str, Any]:
            return {
                "partitions": sorted(
                    partition for topic, partition in assigned_partitions() if topic == INTERACTIONS.name
                ),
                "global_tables": global_tables.progress(),
                "ready_at": global_tables.ready_at,
                "encoder": catalog_snapshot.encoder.version,
                "stale": catalog_snapshot.is_stale,
                "items": len(catalog_snapshot.items),
                "trimmed": dict(agents.user.evictions + agents.signal.evictions + catalog_snapshot.evictions),
                **agents.describe(),
            }

        work = [
            part.run()
            for part in (global_tables, agents.ranker, agents.online_metrics, agents.trigger_publisher, refills)
        ]
        async with role.alongside(stop, *work, describe=describe):
            await run_app(app, stop)
