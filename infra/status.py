"""How the whole stands: which servers answer, which roles live, how far behind each consumer group is."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from infra import clock, heartbeat, probe
from infra.redis_client import StoreError, connect
from infra.settings import Settings, masked
from topics import TOPICS, Topic
from topics.topic import FEEDS

_WITHIN_S = 5.0
_OURS = {topic.name for topic in TOPICS}


class ServerStatus(msgspec.Struct, frozen=True):
    """One server."""

    address: str
    up: bool
    problem: str = ""


class Status(msgspec.Struct, frozen=True):
    """The whole, as of one moment."""

    servers: dict[str, ServerStatus]
    roles: list[dict[str, Any]]
    """Their signs of life."""
    lag: dict[str, dict[str, int]]
    """Records not read yet, by consumer group and topic."""
    newest_feed_at: int | None
    """When the newest feed was written, in ms since the epoch."""
    newest_feed_age_s: float | None

    @property
    def up(self) -> bool:
        """Say whether every server answers."""
        return all(server.up for server in self.servers.values())


async def read(settings: Settings) -> Status:
    """Return how things stand; what does not answer is part of the answer."""
    redis = connect(settings.redis_url, timeout_s=_WITHIN_S)
    try:
        kafka, registry, store, database = await asyncio.gather(
            _ask(settings.kafka_bootstrap_servers, probe.kafka(settings.kafka_bootstrap_servers)),
            _ask(settings.schema_registry_url, probe.registry(settings.schema_registry_url)),
            _ask(settings.redis_url, probe.redis(redis)),
            _ask(settings.database_url, probe.database(settings.database_url)),
        )
        try:
            roles = await heartbeat.signs(redis) if store.up else []
        except StoreError:
            roles = []
    finally:
        await redis.aclose()
    lag: dict[str, dict[str, int]] = {}
    newest: int | None = None
    if kafka.up:
        admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers, "log_level": 0})
        lag, newest = await asyncio.gather(asyncio.to_thread(_lag, admin), asyncio.to_thread(_newest, admin, FEEDS))
    return Status(
        servers={"kafka": kafka, "schema registry": registry, "redis": store, "database": database},
        roles=roles,
        lag=lag,
        newest_feed_at=newest,
        newest_feed_age_s=None if newest is None else max(0.0, (clock.now_ms() - newest) / 1000),
    )


async def _ask(address: str, ask: probe.ServerProbe) -> ServerStatus:
    try:
        async with aclosing(ask), asyncio.timeout(_WITHIN_S):
            await ask()
    except Exception as error:  # every client has its own
        return ServerStatus(masked(address), up=False, problem=f"{type(error).__name__}: {error}"[:200])
    return ServerStatus(masked(address), up=True)


def _lag(admin: Any) -> dict[str, dict[str, int]]:
    """Return what each group that has committed on our topics has still to read."""
    groups = [group.group_id for group in admin.list_consumer_groups(request_timeout=_WITHIN_S).result().valid]
    committed: dict[str, list[TopicPartition]] = {}
    for name in sorted(groups):
        future = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=_WITHIN_S)[
            name
        ]
        known = [tp for tp in future.result().topic_partitions if tp.topic in _OURS and tp.offset >= 0]
        if known:
            committed[name] = known
    partitions = {(tp.topic, tp.partition) for tps in committed.values() for tp in tps}
    ends = _offsets(admin, partitions, OffsetSpec.latest())
    lag: dict[str, dict[str, int]] = {}
    for name, tps in committed.items():
        behind = lag.setdefault(name, {})
        for tp in tps:
            end = ends[tp.topic, tp.partition].offset
            behind[tp.topic] = behind.get(tp.topic, 0) + max(0, end - tp.offset)
    return lag


def _newest(admin: Any, topic: Topic) -> int | None:
    """Return the broker's time of the newest record of a topic, in ms."""
    partitions = {(topic.name, number) for number in range(topic.partitions)}
    try:
        found = _offsets(admin, partitions, OffsetSpec.max_timestamp())
    except KafkaException:
        return None  # the topic is not there yet
    newest = max((info.timestamp for info in found.values()), default=-1)
    return None if newest < 0 else int(newest)


def _offsets(admin: Any, partitions: set[tuple[str, int]], spec: Any) -> dict[tuple[str, int], Any]:
    if not partitions:
        return {}
    futures = admin.list_offsets(
        {TopicPartition(*tp): spec for tp in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=_WITHIN_S,
    )
    return {(tp.topic, tp.partition): future.result() for tp, future in futures.items()}
