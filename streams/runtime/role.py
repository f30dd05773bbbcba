"""Scaffold of a role: the clients that every role has, its heartbeats, and the end of all of them.

async def run(settings: Settings, stop: asyncio.Event) -> None:
async with open_role("archive", settings) as role:
...                                           # the role's own clients
await role.run(stop, sink(role, ...), describe=...)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from redis.asyncio import Redis

from infra import clock
from infra.erasure.erasure_index import ErasureIndex, erasure_key
from infra.erasure.erasure_log import ErasureFollower
from infra.kafka.publisher import Publisher, open_publisher
from infra.kafka.registry import Registry, open_registry
from infra.redis.connection import connect
from infra.redis.heartbeat import publish_heartbeat
from infra.settings import Settings
from streams.runtime.dead_letter_queue import DeadLetterQueue
from streams.runtime.decode import Decoder
from streams.runtime.supervise import run_alongside
from streams.runtime.topic_history import TopicHistory, topic_history
from topics import Topic


@dataclass(frozen=True, slots=True)
class Role:
    """A running role, and the clients that every role has."""

    name: str
    settings: Settings
    registry: Registry
    publisher: Publisher
    redis: Redis
    dead_letters: DeadLetterQueue
    erasures: ErasureIndex
    """The erased users, whose older records are skipped."""
    erasure_follower: ErasureFollower

    def decoder(self, topic: Topic, *, tombstones: bool = False) -> Decoder:
        """Return a decoder of a topic that skips unusable records: the agents that own the topic report them."""
        return Decoder(topic, self.registry, None, stage=self.name, tombstones=tombstones, erasures=self.erasures)

    def history(
        self,
        topic: Topic,
        *,
        since_ms: int | None = None,
        partitions: Collection[int] | None = None,
        starts: Mapping[TopicPartition, int] | None = None,
    ) -> AbstractAsyncContextManager[TopicHistory]:
        """Open a topic up to its present end; see `topic_history`."""
        servers = self.settings.kafka_bootstrap_servers
        return topic_history(
            servers,
            self.registry,
            topic,
            since_ms=since_ms,
            partitions=partitions,
            starts=starts,
            erasures=self.erasures,
        )

    @asynccontextmanager
    async def alongside(
        self,
        stop: asyncio.Event,
        *coroutines: Coroutine[Any, Any, None],
        describe: Callable[[], dict[str, Any]] = dict,
    ) -> AsyncIterator[None]:
        """Run coroutines and heartbeats beside the body, which must end once `stop` is set.

        Args:
            stop: Ends the role; it is also set when a coroutine ends.
            coroutines: The role's work, cancelled after the body; the error of a failed one is raised.
            describe: Returns the role's own figures for its heartbeat.
        """

        def figures() -> dict[str, Any]:
            return {**describe(), **self.publisher.describe(), **self.dead_letters.describe()}

        heartbeat, erasures = publish_heartbeat(self.redis, self.name, figures), self.erasure_follower.run()
        async with run_alongside(stop, *coroutines, erasures, heartbeat):
            yield

    async def run(
        self,
        stop: asyncio.Event,
        *coroutines: Coroutine[Any, Any, None],
        describe: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Run coroutines and heartbeats until `stop` is set, then cancel them; see `alongside`."""
        async with self.alongside(stop, *coroutines, describe=describe):
            await stop.wait()


@asynccontextmanager
async def open_role(
    name: str, settings: Settings, *, now_ms: Callable[[], int] = clock.now_ms, publish_timeout_s: float = 30.0
) -> AsyncIterator[Role]:
    """Open the clients of a role, and close them at the end.

    Args:
        name: The name of the role, in its heartbeats and dead letters.
        settings: The settings of the worker.
        now_ms: The clock of the dead letters, in ms since the epoch.
        publish_timeout_s: Time in seconds for which the brokers may be unavailable before the role ends.

    Raises:
        OperatorError: Kafka or the schema registry does not answer.
    """
    async with AsyncExitStack() as clients:
        registry = await clients.enter_async_context(open_registry(settings.schema_registry_url))
        redis = connect(settings.redis_url)
        clients.push_async_callback(redis.aclose)
        publisher = await open_publisher(settings.kafka_bootstrap_servers, registry, timeout_s=publish_timeout_s)
        clients.push_async_callback(publisher.close)
        erasures = ErasureIndex(erasure_key(settings))
        follower = ErasureFollower(settings.kafka_bootstrap_servers, registry, erasures)
        await follower.catch_up()
        dead_letters = DeadLetterQueue(publisher, now_ms=now_ms)
        yield Role(name, settings, registry, publisher, redis, dead_letters, erasures, follower)
