"""Refill of a store from its topics, concurrent with the agents that write to it.

An agent that owns a partition writes its records through a `Projector`. If the store has lost the partition, the topic
is read from the beginning and written through the same projector, which leaves out the keys that the agent has written
since: a refill never overwrites newer values.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from infra import clock
from infra.redis.connection import StoreError
from infra.redis.projection import LOOK_S, Projection, partition_name
from streams.runtime.retry import write_one_by_one
from streams.runtime.role import Role
from topics import Topic

RefillEntry = tuple[bytes, Any]
"""The key of a record and its value, None for a deletion."""
T = TypeVar("T")
_CHUNK = 500
_LOG = logging.getLogger(__name__)


class Projector:
    """Writes the newest value of each key to a store, from one topic.

    Args:
        write: Writes the newest values by key, None for a deletion; it must be idempotent.
    """

    def __init__(self, write: Callable[[Mapping[bytes, Any]], Awaitable[None]]) -> None:
        self._write = write
        self._lock = asyncio.Lock()
        self._written_keys: set[bytes] | None = None
        """Keys written since the refill began; None when no refill runs."""

    async def put(self, changes: Mapping[bytes, Any]) -> None:
        """Write changes just read from the topic.

        Raises:
            StoreError: the write failed, perhaps in part.
        """
        async with self._lock:
            if self._written_keys is not None:
                self._written_keys.update(changes)
            await self._write(changes)

    async def refill(self, chunks: AsyncIterator[Sequence[RefillEntry]]) -> None:
        """Write the topic from its beginning, except keys written in the meantime."""
        written_keys = self._written_keys = set()
        try:
            async for chunk in chunks:
                async with self._lock:
                    rest = [(key, value) for key, value in chunk if key not in written_keys]
                    await rewrite(rest, lambda some: self._write(dict(some)))
        finally:
            self._written_keys = None


async def rewrite(entries: Sequence[T], write: Callable[[Sequence[T]], Awaitable[object]]) -> None:
    """Write entries that a store has lost, however long it is unavailable; refused entries are only logged.

    Their dead letters were written when they were first read.

    Args:
        entries: The entries.
        write: Writes some of them at once; it must be idempotent.
    """

    def refuse(_: T, error: Exception) -> None:
        _LOG.warning("an entry cannot be restored: %s", error)

    await write_one_by_one(entries, write, refuse, log_message="entries that were lost wait for the store")


@dataclass(frozen=True, slots=True)
class _RefillSource:
    """A topic from which a store is refilled."""

    topic: Topic
    owner_topic: Topic
    """The owner of a partition of this topic refills the store from the same partition of `topic`."""
    fill: Callable[[AsyncIterator[Sequence[RefillEntry]]], Awaitable[None]]
    age_ms: int | None
    """Largest age of the records to read, in ms; None for all."""


@dataclass(slots=True)
class Refills:
    """Checks whether a store still holds the data of a role, and refills the lost partitions."""

    role: Role
    projection: Projection
    assigned_partitions: Callable[[], Collection[tuple[str, int]]]
    """Returns the partitions owned by the role, as topic and number."""
    _sources: list[_RefillSource] = field(default_factory=list)

    def add(
        self,
        topic: Topic,
        fill: Callable[[AsyncIterator[Sequence[RefillEntry]]], Awaitable[None]],
        *,
        owner_topic: Topic | None = None,
        age_ms: int | None = None,
    ) -> None:
        """Add a topic from which the store is refilled.

        Args:
            topic: The topic to read.
            fill: Writes its records to the store.
            owner_topic: The topic whose assigned partitions decide which ones of `topic` to read; `topic` by default.
            age_ms: Largest age of the records to read, in ms; all by default.
        """
        self._sources.append(_RefillSource(topic, owner_topic or topic, fill, age_ms))

    async def run(self) -> None:
        """Check the store every second, until cancelled; failures are retried."""
        while True:
            try:
                for source in self._sources:
                    await self._check(source)
            except (StoreError, KafkaError) as error:
                _LOG.warning("a store is not refilled yet: %s", error)
            await asyncio.sleep(LOOK_S)

    async def _check(self, source: _RefillSource) -> None:
        owned_partitions = self._owned(source)
        missing = await self.projection.missing([partition_name(source.topic, number) for number in owned_partitions])
        partitions = [number for number in owned_partitions if partition_name(source.topic, number) in missing]
        if not partitions:
            return
        await self.projection.begin([partition_name(source.topic, number) for number in partitions])
        since_ms = None if source.age_ms is None else clock.now_ms() - source.age_ms
        async with self.role.history(source.topic, since_ms=since_ms, partitions=partitions) as history:
            _LOG.info("%s: the store is refilled from up to %d records", source.topic.name, history.total)
            await source.fill(history.chunks(_CHUNK))
        still_owned = set(self._owned(source))  # the new owner refills partitions that were reassigned in the meantime
        await self.projection.complete(
            [partition_name(source.topic, number) for number in partitions if number in still_owned]
        )

    def _owned(self, source: _RefillSource) -> list[int]:
        return sorted(number for topic, number in self.assigned_partitions() if topic == source.owner_topic.name)
