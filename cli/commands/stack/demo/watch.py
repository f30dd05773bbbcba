"""Progress of the pipeline, derived only from its outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from cli.commands.stack.demo.proof import DemoError
from cli.commands.stack.demo.tail import Tail
from infra.kafka.admin import idle
from infra.kafka.admin.offsets import end_offsets
from infra.kafka.registry import Registry
from infra.redis.stores.feed_store import RedisFeedStore
from schemas.types import DeadLetter, Features
from topics.topic import DEAD_LETTERS, FEATURES, INTERACTIONS

_POLL_S = 0.1
_DEADLINE_S = 120.0
_DEADLINE_PER_INTERACTION_S = 0.003
"""Additional time for each step per interaction: about ten times the need on two busy cores."""
_CALL_S = 10.0
_CHUNK = 500


class Watch:
    """Follows the outputs of the pipeline: features, dead letters, feeds, and the remaining work."""

    def __init__(self, bootstrap_servers: str, registry: Registry, redis: Redis) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        self._registry = registry
        self._redis = redis
        self._feeds = RedisFeedStore(redis)
        self._tail = Tail(bootstrap_servers, (FEATURES, DEAD_LETTERS))
        self._counts: dict[str, tuple[bytes, int]] = {}
        self._counted_before: dict[str, int] = {}
        self._letters_before: set[bytes] = set()
        self.expected = 0
        """Number of published interactions, on which the deadlines depend."""

    async def begin(self, user_ids: Iterable[str]) -> None:
        """Wait until earlier work is complete, then start counting.

        Raises:
            DemoError: the work is not completed in time.
        """
        await self.wait_until_idle("the work of an earlier run")
        before = self.features()
        self._counted_before = {user_id: before[user_id].event_count for user_id in user_ids if user_id in before}
        self._letters_before = set(self._tail.newest(DEAD_LETTERS))

    def features(self) -> dict[str, Features]:
        """Return the newest feature snapshot of each user."""
        codec = self._registry.codec(Features)
        return {user_id.decode(): codec.decode(data) for user_id, data in self._tail.newest(FEATURES).items()}

    def processed(self, user_ids: Sequence[str]) -> int:
        """Return the number of interactions folded into these users' features since `begin`."""
        newest = self._tail.newest(FEATURES)
        counts = {user_id: self._count(user_id, newest.get(user_id.encode())) for user_id in user_ids}
        return sum(count - self._counted_before.get(user_id, 0) for user_id, count in counts.items())

    def _count(self, user_id: str, snapshot: bytes | None) -> int:
        """Return the event count of a feature snapshot; each snapshot is decoded only once."""
        if snapshot is None:
            return 0
        entry = self._counts.get(user_id)
        if entry is None or entry[0] is not snapshot:
            entry = self._counts[user_id] = (snapshot, self._registry.codec(Features).decode(snapshot).event_count)
        return entry[1]

    def dead_lettered(self) -> int:
        """Return the number of dead-lettered interactions since `begin`."""
        codec = self._registry.codec(DeadLetter)
        letters = self._tail.newest(DEAD_LETTERS)
        since = [codec.decode(data) for key, data in letters.items() if key not in self._letters_before]
        return sum(letter.topic == INTERACTIONS.name for letter in since)

    async def current_feeds(self, user_ids: Sequence[str], *, after: dict[str, int]) -> int:
        """Return the number of users with a non-empty feed based on their newest features.

        Args:
            user_ids: The users.
            after: Feature versions by user; only features of a later version count.
        """
        features = self.features()
        current = 0
        for start in range(0, len(user_ids), _CHUNK):
            chunk = user_ids[start : start + _CHUNK]
            for user_id, feed in zip(chunk, await self._feeds.read(chunk), strict=True):
                version = features[user_id].version if user_id in features else 0
                current += (
                    feed is not None
                    and bool(feed.items)
                    and version > after.get(user_id, -1)
                    and feed.features_version >= version
                )
        return current

    async def wait_until_idle(self, work: str) -> None:
        """Wait until the pipeline is idle and all its output has been read.

        Args:
            work: A description of the work, for the error message.

        Raises:
            DemoError: the work is not completed in time.
        """
        check = idle.IdleCheck(self._admin, self._redis)

        async def at_rest() -> bool:
            return not await check.look()

        await self.wait_for(f"the workers have not finished {work}", at_rest, self._remaining_work)
        ends = await asyncio.to_thread(end_offsets, self._admin, (FEATURES, DEAD_LETTERS))

        async def read() -> bool:
            return self._tail.has_read(ends)

        await self.wait_for("the features topic cannot be read", read)

    async def wait_for(
        self,
        trouble: str,
        condition: Callable[[], Awaitable[bool]],
        remaining_work: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """Wait for a condition.

        Args:
            trouble: The error message if the condition stays false.
            condition: The condition.
            remaining_work: Describes the remaining work, for the error message.

        Raises:
            DemoError: the condition stayed false until the deadline.
        """
        within_s = _DEADLINE_S + _DEADLINE_PER_INTERACTION_S * self.expected
        end_s = asyncio.get_running_loop().time() + within_s
        while not await condition():
            if asyncio.get_running_loop().time() > end_s:
                suffix = f"; remaining: {await remaining_work()}" if remaining_work is not None else ""
                raise DemoError(f"{trouble} after {within_s:.0f} s{suffix}")
            await asyncio.sleep(_POLL_S)

    async def describe_broker(self) -> str:
        """Return a description of the cluster: address, id and size."""
        cluster = await asyncio.to_thread(lambda: self._admin.describe_cluster(request_timeout=_CALL_S).result(_CALL_S))
        brokers = len(cluster.nodes)
        return (
            f"Apache Kafka at {self._bootstrap_servers}, "
            f"cluster {cluster.cluster_id} of {brokers} broker{'s' * (brokers != 1)}"
        )

    async def close(self) -> None:
        """Stop following."""
        await self._feeds.close()
        await asyncio.to_thread(self._tail.close)

    async def _remaining_work(self) -> dict[str, int]:
        return await idle.work_left(self._admin, self._redis)
