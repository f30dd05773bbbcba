"""Composition of a Faust role: its app, the context of its agents, and their registration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast
from urllib.parse import quote

from infra.erasure.erasure_index import ErasureIndex
from infra.kafka.admin.cluster import cluster_id
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry
from infra.settings import Settings
from schemas.types import ErasureRequest
from streams.runtime.dead_letter_queue import DeadLetterQueue, Record
from streams.runtime.decode import Decoder
from streams.runtime.state.checkpoint import Checkpoint
from streams.transport import App, Limits, batch_topic, faust_app
from topics import Topic

PUBLISH_TIMEOUT_S = 120.0
"""Time for which the brokers may be unavailable before a worker gives up and restarts from its last commit."""


@dataclass(frozen=True, slots=True)
class RoleContext:
    """The clients that the agents of any role share."""

    app: App
    settings: Settings
    registry: Registry
    publisher: Publisher
    dead_letters: DeadLetterQueue
    erasures: ErasureIndex
    """The erased users, whose older records are skipped."""

    def decoder(self, topic: Topic, agent: str, *, tombstones: bool = False) -> Decoder:
        """Return a decoder of a topic for an agent."""
        return Decoder(
            topic, self.registry, self.dead_letters, stage=agent, tombstones=tombstones, erasures=self.erasures
        )

    def silent_decoder(self, topic: Topic, agent: str, *, tombstones: bool = False) -> Decoder:
        """Return a decoder for an agent that skips unusable records, because another agent reports them."""
        return Decoder(topic, self.registry, None, stage=agent, tombstones=tombstones, erasures=self.erasures)

    async def known_erasures(self, usable: Sequence[tuple[Record, ErasureRequest]]) -> list[ErasureRequest]:
        """Return the requests of decoded records, once this process skips the older records of their users."""
        return [request for _, request in usable if await self.erasures.wait_for(request.event_id)]

    def checkpoint(self, **hooks: Any) -> Checkpoint:
        """Return a checkpoint for an agent, with its `emit` and `states`."""
        return Checkpoint(self.app, self.publisher, interval_s=self.settings.commit_interval_s, **hooks)


class Agent(Protocol):
    """The interface of an agent towards its app."""

    checkpoint: Checkpoint

    async def process(self, event: Any) -> None:
        """Process one batch."""

    def drop(self) -> None:
        """Discard all state that is not durable."""


async def new_app(settings: Settings, app_id: str, folder: str) -> App:
    """Return the app of a role. Its tables hold offsets of a cluster, so their folder is per worker and cluster.

    Args:
        settings: The settings of the worker.
        app_id: The id of the app, which is its consumer group.
        folder: The name of the role's folder.

    Raises:
        OperatorError: Kafka does not answer.
    """
    cluster = await asyncio.to_thread(cluster_id, settings.kafka_bootstrap_servers)
    return faust_app(
        app_id,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        datadir=settings.millrace_home / folder / quote(cluster, safe="") / settings.worker_id,
        store=cast(Literal["memory", "rocksdb"], settings.worker_store),
        limits=batch_limits(settings),
        commit_interval_s=settings.commit_interval_s,
    )


def batch_limits(settings: Settings) -> Limits:
    """Return the limits of batches and of records in flight."""
    return Limits(
        batch_records=settings.batch_records,
        batch_bytes=settings.batch_bytes,
        batch_wait_ms=settings.batch_wait_ms,
        max_in_flight_records=settings.max_in_flight_records,
        max_processed_records=settings.max_processed_records,
    )


def assignment(app: App) -> Callable[[], frozenset[tuple[str, int]]]:
    """Return a function that returns the partitions owned by the app, as topic and number."""
    partitions: frozenset[tuple[str, int]] = frozenset()

    async def assigned(_sender: App, assigned_partitions: Any, **_: Any) -> None:
        nonlocal partitions
        partitions = frozenset((tp.topic, tp.partition) for tp in assigned_partitions)

    async def revoked(_sender: App, _partitions: Any, **_: Any) -> None:
        nonlocal partitions
        partitions = frozenset()

    app.on_partitions_assigned.connect(assigned, weak=False)
    app.on_partitions_revoked.connect(revoked, weak=False)
    return lambda: partitions


def register_agent(app: App, sources: Iterable[Topic], agent: Agent) -> None:
    """Register an agent: it reads its topics, runs its checkpoints, and drops its state on a rebalance."""

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            try:
                await agent.process(event)
            except Exception as error:
                agent.checkpoint.fail(error)  # a batch may be folded by half: the last checkpoint must not store that
                raise

    async def checkpoint() -> None:
        await agent.checkpoint.run()

    async def drop(_sender: App, _partitions: Any, **_: Any) -> None:
        agent.drop()

    name = type(agent).__name__
    app.agent(batch_topic(app, *(topic.name for topic in sources)), name=name)(read)
    app.timer(app.conf.broker_commit_interval / 2, name=f"{name} checkpoint")(checkpoint)
    app.on_drain(agent.checkpoint.force)
    app.on_partitions_assigned.connect(drop, weak=False)
