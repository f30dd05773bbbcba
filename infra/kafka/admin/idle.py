"""Detection of an idle pipeline, for callers that wait until published records are served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra.kafka.admin.offsets import Partition, committed_offsets, end_offsets
from infra.kafka.admin.provision import consumer_group
from infra.redis import heartbeat
from infra.redis.connection import StoreError
from topics import Topic
from topics.topic import (
    CHOICES,
    CONTENT,
    ERASURE_REQUESTS,
    EXPOSURES,
    FETCH_REQUESTS,
    GLOBAL_TABLES,
    INTERACTIONS,
    ITEM_SIGNALS,
    ITEMS,
    LINK_UPDATES,
    LLM_SCORES,
    LOCATIONS,
    PROFILE_UPDATES,
    PROFILES,
    TRIGGERS,
    USER_WEIGHTS,
    VISITS,
)

INPUT_TOPICS = (
    *(ITEMS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, PROFILES, USER_WEIGHTS, EXPOSURES),
    *(TRIGGERS, ITEM_SIGNALS, CONTENT, LLM_SCORES, ERASURE_REQUESTS),
)
"""The topics that the agents of the feed role read."""
_POLL_S = 0.2
_CALM_POLLS = 3
"""Polls in a row that must find no work: stages feed each other, and a record may be between two of them."""


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
    ends = await asyncio.to_thread(
        end_offsets, admin, {*INPUT_TOPICS, *GLOBAL_TABLES, CHOICES, VISITS, FETCH_REQUESTS, LINK_UPDATES}
    )
    offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("feed"))
    heartbeats = await heartbeat.heartbeats(redis)
    counts: dict[str, int] = {}
    for topic in INPUT_TOPICS:
        counts[f"records of {topic.short_name} to fold"] = _behind(topic, ends, offsets)
    feeds = [beat for beat in heartbeats if beat["role"] == "feed"]
    if any(beat["role"] == "fetch" for beat in heartbeats):
        fetch_offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("fetch"))
        counts["fetches to answer"] = _behind(FETCH_REQUESTS, ends, fetch_offsets)
    trainers = [beat for beat in heartbeats if beat["role"] == "trainer"]
    has_links = any(beat["role"] == "links" for beat in heartbeats)
    link_offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("links"))
    counts["link updates to learn and publish"] = _behind(LINK_UPDATES, ends, link_offsets)
    counts["workers to start"] = (not feeds) + (not trainers) + (not has_links)
    for beat in feeds:
        counts["users to rank"] = counts.get("users to rank", 0) + beat["waiting"]
        counts["charts to refresh"] = counts.get("charts to refresh", 0) + beat["stale"]
        for topic in GLOBAL_TABLES:
            name = f"records of {topic.short_name} to read into memory"
            counts[name] = counts.get(name, 0) + _behind(topic, ends, _reached(topic, beat["global_tables"]))
    for beat in trainers:
        counts["weights to publish"] = counts.get("weights to publish", 0) + beat["waiting"]
        for topic in (CHOICES, VISITS):
            counts[f"{topic.short_name} to learn"] = _behind(topic, ends, _reached(topic, beat["positions"]))
    return {what: count for what, count in counts.items() if count}


def _behind(topic: Topic, ends: Mapping[Partition, int], offsets: Mapping[Partition, int]) -> int:
    partitions = [(topic.name, number) for number in range(topic.partitions)]
    return sum(max(ends[partition] - offsets.get(partition, 0), 0) for partition in partitions)


def _reached(topic: Topic, progress: Mapping[str, int]) -> dict[Partition, int]:
    """Return the offsets of a topic in the figures of a heartbeat, which names partitions `TOPIC-PARTITION`."""
    return {(topic.name, number): progress.get(f"{topic.name}-{number}", 0) for number in range(topic.partitions)}
