"""Detection of an idle pipeline, for callers that wait until published records are served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra import clock
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
ROLES = ("feed", "trainer", "links")
"""The roles whose work makes a pipeline busy."""
_TOPICS = {*INPUT_TOPICS, *GLOBAL_TABLES, CHOICES, VISITS, FETCH_REQUESTS, LINK_UPDATES}
_POLL_S = 0.2


class NotIdleError(TimeoutError):
    """The pipeline did not come to rest in time."""

    def __init__(self, timeout_s: float, remaining_work: dict[str, int]) -> None:
        self.remaining_work = remaining_work
        description = (
            ", ".join(f"{what}: {count}" for what, count in remaining_work.items()) or "nothing, but only just now"
        )
        super().__init__(f"after {timeout_s:g} s the pipeline still has work to do ({description})")


class IdleCheck:
    """Looks at a pipeline again and again until it is idle.

    Stages feed each other, and heartbeats tell the state of up to a second ago. So a pipeline is idle when a look finds
    no work, no topic has got a record since the look before, and each role has reported after that one that it has no
    work either. Roles and caller must have nearly the same clock.

    Args:
        admin: Client of the brokers.
        redis: Client.
        roles: The running roles among `ROLES`; feed is one of them.
    """

    def __init__(self, admin: AdminClient, redis: Redis, *, roles: Collection[str] = ROLES) -> None:
        self._admin, self._redis, self._roles = admin, redis, roles
        self._ends: Mapping[Partition, int] = {}
        self._since_ms = 0
        """End of the last look that found work or a new record, in ms since the epoch."""

    async def look(self) -> dict[str, int]:
        """Return the amount of remaining work by kind; empty when the pipeline is idle.

        Raises:
            KafkaException: the brokers do not answer.
            StoreError: Redis does not answer.
        """
        ends, heartbeats, remaining_work = await _look(self._admin, self._redis, self._roles)
        if remaining_work or ends != self._ends:
            self._ends, self._since_ms = ends, clock.now_ms()
        if remaining_work:
            return remaining_work
        late_count = sum(beat["reported_at"] <= self._since_ms for beat in heartbeats)
        return {"roles to report": late_count} if late_count else {}


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
    check = IdleCheck(AdminClient({"bootstrap.servers": bootstrap_servers}), redis)
    remaining_work: dict[str, int] = {}
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    remaining_work = await check.look()
                except (KafkaException, StoreError) as error:
                    remaining_work = {f"answers to wait for ({error})": 1}
                callback_result = on_poll(remaining_work)
                if callback_result is not None:
                    await callback_result
                if not remaining_work:
                    return
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotIdleError(timeout_s, remaining_work) from None


async def work_left(admin: AdminClient, redis: Redis) -> dict[str, int]:
    """Return the amount of work by kind that is known at this moment; more may be between two stages."""
    _, _, remaining_work = await _look(admin, redis, ROLES)
    return remaining_work


async def _look(
    admin: AdminClient, redis: Redis, roles: Collection[str]
) -> tuple[Mapping[Partition, int], list[dict[str, Any]], dict[str, int]]:
    """Return the end offsets of the topics, the heartbeats of roles, and the remaining work by kind."""
    ends = await asyncio.to_thread(end_offsets, admin, _TOPICS)
    offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("feed"))
    heartbeats = [beat for beat in await heartbeat.heartbeats(redis) if beat["role"] in (*roles, "fetch")]
    counts: dict[str, int] = {}
    for topic in INPUT_TOPICS:
        counts[f"records of {topic.short_name} to fold"] = _behind(topic, ends, offsets)
    if any(beat["role"] == "fetch" for beat in heartbeats):
        fetch_offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("fetch"))
        counts["fetches to answer"] = _behind(FETCH_REQUESTS, ends, fetch_offsets)
    if "links" in roles:
        link_offsets = await asyncio.to_thread(committed_offsets, admin, consumer_group("links"))
        counts["link updates to learn and publish"] = _behind(LINK_UPDATES, ends, link_offsets)
    counts["workers to start"] = len(set(roles) - {beat["role"] for beat in heartbeats})
    for beat in heartbeats:
        if beat["role"] == "feed":
            counts["users to rank"] = counts.get("users to rank", 0) + beat["waiting"]
            counts["charts to refresh"] = counts.get("charts to refresh", 0) + beat["stale"]
            for topic in GLOBAL_TABLES:
                name = f"records of {topic.short_name} to read into memory"
                counts[name] = counts.get(name, 0) + _behind(topic, ends, _reached(topic, beat["global_tables"]))
        elif beat["role"] == "trainer":
            counts["weights to publish"] = counts.get("weights to publish", 0) + beat["waiting"]
            for topic in (CHOICES, VISITS):
                counts[f"{topic.short_name} to learn"] = _behind(topic, ends, _reached(topic, beat["positions"]))
    return ends, heartbeats, {what: count for what, count in counts.items() if count}


def _behind(topic: Topic, ends: Mapping[Partition, int], offsets: Mapping[Partition, int]) -> int:
    partitions = [(topic.name, number) for number in range(topic.partitions)]
    return sum(max(ends[partition] - offsets.get(partition, 0), 0) for partition in partitions)


def _reached(topic: Topic, progress: Mapping[str, int]) -> dict[Partition, int]:
    """Return the offsets of a topic in the figures of a heartbeat, which names partitions `TOPIC-PARTITION`."""
    return {(topic.name, number): progress.get(f"{topic.name}-{number}", 0) for number in range(topic.partitions)}
