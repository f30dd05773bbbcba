"""When a pipeline has nothing left to do: for whoever waits until what was published is served."""

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
    INTERACTIONS,
    ITEM_NEIGHBORS,
    ITEM_SIGNALS,
    ITEM_STATS,
    ITEM_WEIGHTS,
    ITEMS,
    LLM_SCORES,
    LOCATIONS,
    MODEL_VERSIONS,
    PROFILE_UPDATES,
    PROFILES,
    TRIGGERS,
    USER_WEIGHTS,
)

CONSUMED = (
    *(ITEMS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, PROFILES, USER_WEIGHTS),
    *(TRIGGERS, ITEM_SIGNALS, FEATURES, CONTENT, LLM_SCORES),
)
VIEWED = (ITEMS, ITEM_STATS, ITEM_NEIGHBORS, ITEM_WEIGHTS, MODEL_VERSIONS)
_POLL_S = 0.2
_CALM_POLLS = 3
"""Polls in a row that must find nothing: stages feed each other, and one may be between two of them."""
_CALL_S = 10.0


class NotIdleError(TimeoutError):
    """The pipeline did not come to rest in time."""

    def __init__(self, timeout_s: float, left: dict[str, int]) -> None:
        self.left = left
        told = ", ".join(f"{what}: {count}" for what, count in left.items()) or "nothing, but only just now"
        super().__init__(f"after {timeout_s:g} s the pipeline still has work to do ({told})")


async def wait_until_idle(
    bootstrap_servers: str,
    redis: Redis,
    *,
    timeout_s: float,
    on_poll: Callable[[dict[str, int]], Awaitable[None] | None] = lambda _: None,
) -> None:
    """Wait until every record is folded, learned, broadcast and ranked; `on_poll` is told what is left.

    Raises:
        UnsettledError: it took longer than the timeout.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    calm, left = 0, {}
    try:
        async with asyncio.timeout(timeout_s):
            while calm < _CALM_POLLS:
                left = await _asked(admin, redis)
                calm = 0 if left else calm + 1
                told = on_poll(left)
                if told is not None:
                    await told
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotIdleError(timeout_s, left) from None


async def _asked(admin: AdminClient, redis: Redis) -> dict[str, int]:
    """Return what is left to do; servers that do not answer just now are waited for like anything else."""
    try:
        return await work_left(admin, redis)
    except (KafkaException, StoreError) as error:
        return {f"answers to wait for ({error})": 1}


async def work_left(admin: AdminClient, redis: Redis) -> dict[str, int]:
    """Return what there is to do, by what it is; empty when there is nothing."""
    ends = await asyncio.to_thread(end_offsets, admin, {*CONSUMED, *VIEWED, FETCH_REQUESTS})
    committed = await asyncio.to_thread(committed_offsets, admin, APP_ID)
    signs = await heartbeat.heartbeats(redis)
    left: dict[str, int] = {}
    for topic in CONSUMED:
        left[f"records of {topic.short_name} to fold"] = _behind(topic, ends, committed)
    feeds = [sign for sign in signs if sign["role"] == "feed"]
    if any(sign["role"] == "fetch" for sign in signs):
        fetched = await asyncio.to_thread(committed_offsets, admin, FETCH_GROUP)
        left["fetches to answer"] = _behind(FETCH_REQUESTS, ends, fetched)
    trainers = [sign for sign in signs if sign["role"] == "trainer"]
    left["workers to start"] = (not feeds) + (not trainers)
    for sign in feeds:
        left["users to rank"] = left.get("users to rank", 0) + sign["waiting"]
        left["charts to draw"] = left.get("charts to draw", 0) + sign["stale"]
        for topic in VIEWED:
            name = f"records of {topic.short_name} to view"
            left[name] = left.get(name, 0) + _behind(topic, ends, sign["view"])
    for sign in trainers:
        left["rows to publish"] = left.get("rows to publish", 0) + sign["waiting"]
        left["interactions to learn"] = _behind(INTERACTIONS, ends, sign["positions"])
    return {what: count for what, count in left.items() if count}


def end_offsets(admin: AdminClient, topics: Iterable[Topic]) -> dict[str, int]:
    """Return the end of what is committed in every partition of some topics, by topic-partition."""
    asked = {
        TopicPartition(topic.name, part): OffsetSpec.latest() for topic in topics for part in range(topic.partitions)
    }
    answers = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED)
    return {f"{tp.topic}-{tp.partition}": found.result(_CALL_S).offset for tp, found in answers.items()}


def committed_offsets(admin: AdminClient, group: str) -> dict[str, int]:
    """Return what a consumer group has committed, by topic-partition."""
    found: Any = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(_CALL_S)
    return {f"{tp.topic}-{tp.partition}": tp.offset for tp in found.topic_partitions if tp.offset >= 0}


def _behind(topic: Topic, ends: dict[str, int], reached: dict[str, int]) -> int:
    names = [f"{topic.name}-{part}" for part in range(topic.partitions)]
    return sum(max(ends[name] - reached.get(name, 0), 0) for name in names)
