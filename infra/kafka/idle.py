"""Detection of an idle pipeline, for callers that wait until published records are served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from redis.asyncio import Redis

from infra.kafka.provision import APP_ID, FETCH_GROUP
from infra.redis import heartbeat
from infra.redis.connection import StoreError
from topics import Topic
from topics.topic import (
    CONTENT,
    FEATURES,
    FETCH_REQUESTS,
    GLOBAL_TABLES,
    INTERACTIONS,
    ITEM_SIGNALS,
    ITEMS,
    LLM_SCORES,
    LOCATIONS,
    PROFILE_UPDATES,
    PROFILES,
    TRIGGERS,
    USER_WEIGHTS,
)

CONSUMED = (
    *(ITEMS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, PROFILES, USER_WEIGHTS),
    *(TRIGGERS, ITEM_SIGNALS, FEATURES, CONTENT, LLM_SCORES),
)
"""The topics that the agents of the feed role read."""
_POLL_S = 0.2
_CALM_POLLS = 3
"""Polls in a row that must find no work: stages feed each other, and a record may be between two of them."""
_CALL_S = 10.0


class NotIdleError(TimeoutError):
    """The pipeline did not come to rest in time."""

    def __init__(self, timeout_s: float, remaining_work: dict[str, int]) -> None:
        self.remaining_work = remaining_work
        description = (
            ", ".join(f"{what}: {count}" for what, count in remaining_work.items()) or "nothing, but only just now"
        )
        super().__init__(f"after {timeout_s:g} s the pipeline still has work to do ({description})")


async def wait_until_idle(
    bootstrap_servers: str,
    redis: Redis,
    *,
    timeout_s: float,
    on_poll: Callable[[dict[str, int]], Awaitable[None] | None] = lambda _: None,
) -> None:
    """Wait until every record is folded, learned, broadcast and ranked.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        redis: Client.
        timeout_s: Maximum wait in seconds.
        on_poll: Called with the remaining work after each poll.

    Raises:
        NotIdleError: the pipeline still has work after the timeout.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    idle_polls, remaining_work = 0, {}
    try:
        async with asyncio.timeout(timeout_s):
            while idle_polls < _CALM_POLLS:
                remaining_work = await _poll(admin, redis)
                idle_polls = 0 if remaining_work else idle_polls + 1
                callback_result = on_poll(remaining_work)
                if callback_result is not None:
                    await callback_result
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotIdleError(timeout_s, remaining_work) from None


async def _poll(admin: AdminClient, redis: Redis) -> dict[str, int]:
    """Return the remaining work; a server that does not answer counts as work to wait for."""
    try:
        return await work_left(admin, redis)
    except (KafkaException, StoreError) as error:
        return {f"answers to wait for ({error})": 1}


async def work_left(admin: AdminClient, redis: Redis) -> dict[str, int]:
    """Return the amount of remaining work by kind; empty when the pipeline is idle."""
    ends = await asyncio.to_thread(end_offsets, admin, {*CONSUMED, *GLOBAL_TABLES, FETCH_REQUESTS})
    committed = await asyncio.to_thread(committed_offsets, admin, APP_ID)
    heartbeats = await heartbeat.heartbeats(redis)
    counts: dict[str, int] = {}
    for topic in CONSUMED:
        counts[f"records of {topic.short_name} to fold"] = _behind(topic, ends, committed)
    feeds = [sign for sign in heartbeats if sign["role"] == "feed"]
    if any(sign["role"] == "fetch" for sign in heartbeats):
        fetch_offsets = await asyncio.to_thread(committed_offsets, admin, FETCH_GROUP)
        counts["fetches to answer"] = _behind(FETCH_REQUESTS, ends, fetch_offsets)
    trainers = [sign for sign in heartbeats if sign["role"] == "trainer"]
    counts["workers to start"] = (not feeds) + (not trainers)
    for sign in feeds:
        counts["users to rank"] = counts.get("users to rank", 0) + sign["waiting"]
        counts["charts to draw"] = counts.get("charts to draw", 0) + sign["stale"]
        for topic in GLOBAL_TABLES:
            name = f"records of {topic.short_name} to view"
            counts[name] = counts.get(name, 0) + _behind(topic, ends, sign["view"])
    for sign in trainers:
        counts["rows to publish"] = counts.get("rows to publish", 0) + sign["waiting"]
        counts["interactions to learn"] = _behind(INTERACTIONS, ends, sign["positions"])
    return {what: count for what, count in counts.items() if count}


def end_offsets(admin: AdminClient, topics: Iterable[Topic]) -> dict[str, int]:
    """Return the end offset of committed records in every partition of topics, by `TOPIC-PARTITION`."""
    requests = {
        TopicPartition(topic.name, part): OffsetSpec.latest() for topic in topics for part in range(topic.partitions)
    }
    answers = admin.list_offsets(requests, isolation_level=IsolationLevel.READ_COMMITTED)
    return {f"{tp.topic}-{tp.partition}": future.result(_CALL_S).offset for tp, future in answers.items()}


def committed_offsets(admin: AdminClient, group: str) -> dict[str, int]:
    """Return the committed offsets of a consumer group, by `TOPIC-PARTITION`."""
    group_offsets: Any = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(_CALL_S)
    return {f"{tp.topic}-{tp.partition}": tp.offset for tp in group_offsets.topic_partitions if tp.offset >= 0}


def _behind(topic: Topic, ends: dict[str, int], reached: dict[str, int]) -> int:
    names = [f"{topic.name}-{part}" for part in range(topic.partitions)]
    return sum(max(ends[name] - reached.get(name, 0), 0) for name in names)
