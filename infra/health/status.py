"""Status of the whole system: servers, roles and the lag of consumer groups."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, OffsetSpec
from redis.asyncio import Redis

from infra import clock
from infra.health import health_check
from infra.health.pipeline_health import (
    PipelineHealth,
    expected_roles,
    health,
    judge,
    read_gaps,
    record_gaps,
    writes_refused,
)
from infra.kafka.admin import consumer_lag
from infra.kafka.admin.consumer_lag import ConsumerLag
from infra.kafka.admin.offsets import partition_offsets
from infra.redis import event_rates, heartbeat
from infra.redis.connection import StoreError, connect
from infra.redis.event_rates import EventRates
from infra.settings import Settings, masked
from topics import Topic
from topics.topic import FEEDS

_WITHIN_S = 5.0


class ServerStatus(msgspec.Struct, frozen=True):
    """The status of one server."""

    address: str
    up: bool
    problem: str = ""


class Status(msgspec.Struct, frozen=True):
    """The status of the whole system at one time."""

    servers: dict[str, ServerStatus]
    roles: list[dict[str, Any]]
    """Heartbeats of the roles."""
    lag: dict[str, dict[str, int]]
    """Unread records by consumer group and topic."""
    newest_feed_at: int | None
    """Time of the newest feed, in ms since the epoch."""
    newest_feed_age_s: float | None
    pipeline: PipelineHealth | None = None
    """Health of the roles; None if Redis does not answer."""
    event_rates: EventRates = EventRates()
    """The users and items with the highest event rates."""

    @property
    def up(self) -> bool:
        """Say whether every server answers."""
        return all(server.up for server in self.servers.values())

    @property
    def problems(self) -> list[str]:
        """Return descriptions of all problems, worst first."""
        down = [f"{name} does not answer: {server.problem}" for name, server in self.servers.items() if not server.up]
        return down + (self.pipeline.problems if self.pipeline is not None else [])


async def read(settings: Settings) -> Status:
    """Return the status; servers that do not answer are reported in it."""
    redis = connect(settings.redis_url, timeout_s=_WITHIN_S)
    try:
        kafka, registry, store, database = await asyncio.gather(
            _ask(settings.kafka_bootstrap_servers, health_check.kafka(settings.kafka_bootstrap_servers)),
            _ask(settings.schema_registry_url, health_check.registry(settings.schema_registry_url)),
            _ask(settings.redis_url, health_check.redis(redis)),
            _ask(settings.database_url, health_check.database(settings.database_url)),
        )
        lag, newest = ConsumerLag(), None
        if kafka.up:
            admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
            lag, newest = await asyncio.gather(
                asyncio.to_thread(consumer_lag.read, admin),
                asyncio.to_thread(_newest, admin, FEEDS),
            )
        roles, pipeline = await _roles(redis, settings, lag) if store.up else ([], None)
    finally:
        await redis.aclose()
    return Status(
        servers={"kafka": kafka, "schema registry": registry, "redis": store, "database": database},
        roles=roles,
        lag=lag.lag,
        newest_feed_at=newest,
        newest_feed_age_s=None if newest is None else max(0.0, (clock.now_ms() - newest) / 1000),
        pipeline=pipeline,
        event_rates=event_rates.merged(roles),
    )


async def _roles(
    redis: Redis, settings: Settings, lag: ConsumerLag
) -> tuple[list[dict[str, Any]], PipelineHealth | None]:
    """Return the heartbeats, and the health of the pipeline."""
    try:
        heartbeats = await heartbeat.heartbeats(redis)
        refusal_reason = await writes_refused(redis)
        if not refusal_reason:
            await record_gaps(redis, lag.gaps)
        roles = judge(await heartbeat.role_lives(redis), expected_roles(settings), now_ms=clock.now_ms())
        recorded_counts = await read_gaps(redis)
    except StoreError:
        return [], None
    return heartbeats, health(roles, refusal_reason, lag.deleted_counts, recorded_counts, now_ms=clock.now_ms())


async def _ask(address: str, ask: health_check.ServerProbe) -> ServerStatus:
    try:
        async with aclosing(ask), asyncio.timeout(_WITHIN_S):
            await ask()
    except Exception as error:  # each client has its own error types
        return ServerStatus(masked(address), up=False, problem=f"{type(error).__name__}: {error}"[:200])
    return ServerStatus(masked(address), up=True)


def _newest(admin: Any, topic: Topic) -> int | None:
    """Return the broker's timestamp of the newest record of a topic in ms, None without records."""
    partitions = {(topic.name, number) for number in range(topic.partitions)}
    try:
        offsets = partition_offsets(admin, partitions, OffsetSpec.max_timestamp())
    except KafkaException:
        return None  # the topic does not exist yet
    newest = max((info.timestamp for info in offsets.values()), default=-1)
    return None if newest < 0 else int(newest)
