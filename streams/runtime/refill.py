"""Filling a store again from its topics, beside the agents that write to it.

An agent that owns a partition writes what comes of it through a `Projector`. Where the store has lost the partition,
its topic is read from the beginning and written through the same projector, which leaves out what the agent has written
since: reading it all again never undoes anything newer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiokafka.errors import KafkaError

from infra import clock
from infra.kafka.registry import Registry
from infra.redis.connection import StoreError
from infra.redis.projection import LOOK_S, Projection, partition_name
from streams.runtime.retry import write_one_by_one
from streams.runtime.topic_history import topic_history
from topics import Topic

Change = tuple[bytes, Any]
"""A record's key and its value, None where it takes the key away."""
T = TypeVar("T")
_CHUNK = 500
_LOG = logging.getLogger(__name__)


class Projector:
    """Writes the newest value of each key to a store, from one topic.

    `write` is given the newest values by key, None for a key that is taken away; writing them again is harmless.
    """

    def __init__(self, write: Callable[[Mapping[bytes, Any]], Awaitable[None]]) -> None:
        self._write = write
        self._lock = asyncio.Lock()
        self._written: set[bytes] | None = None
        """Keys that were written since a refill began; None while there is none."""

    async def put(self, changes: Mapping[bytes, Any]) -> None:
        """Write what has just been read of the topic.

        Raises:
            StoreError: some may have been written.
        """
        async with self._lock:
            if self._written is not None:
                self._written.update(changes)
            await self._write(changes)

    async def refill(self, chunks: AsyncIterator[Sequence[Change]]) -> None:
        """Write what is read of the topic from its beginning, but for keys that were written meanwhile."""
        written = self._written = set()
        try:
            async for chunk in chunks:
                async with self._lock:
                    rest = [(key, value) for key, value in chunk if key not in written]
                    await rewrite(rest, lambda some: self._write(dict(some)))
        finally:
            self._written = None


async def rewrite(entries: Sequence[T], write: Callable[[Sequence[T]], Awaitable[object]]) -> None:
    """Write entries that a store has lost, however long it is away; those that it refuses are left out.

    Their dead letters were written when they were read for the first time.
    """

    def refuse(_: T, error: Exception) -> None:
        _LOG.warning("an entry is not written again: %s", error)

    await write_one_by_one(entries, write, refuse, waits="entries that were lost wait for the store")


@dataclass(frozen=True, slots=True)
class _RefillSource:
    """A topic that a store is filled from."""

    topic: Topic
    owned: Topic
    """Whoever owns a partition of this one fills the store from the same partition of `topic`."""
    fill: Callable[[AsyncIterator[Sequence[Change]]], Awaitable[None]]
    age_ms: int | None
    """Age of the records past which they are not worth reading."""


@dataclass(slots=True)
class Refills:
    """Looks whether a store holds what a role writes to it, and fills it again where it does not."""

    bootstrap_servers: str
    registry: Registry
    projection: Projection
    assigned: Callable[[], Collection[tuple[str, int]]]
    """Returns the partitions that the role owns, as topic and number."""
    _sources: list[_RefillSource] = field(default_factory=list)

    def add(
        self,
        topic: Topic,
        fill: Callable[[AsyncIterator[Sequence[Change]]], Awaitable[None]],
        *,
        owned: Topic | None = None,
        age_ms: int | None = None,
    ) -> None:
        """Have the store filled from a topic.

        Args:
            topic: What is read.
            fill: Writes it.
            owned: The topic by whose partitions this role owns those of `topic`, where it is another.
            age_ms: How far back it is read; from the beginning by default.
        """
        self._sources.append(_RefillSource(topic, owned or topic, fill, age_ms))

    async def run(self) -> None:
        """Look every second, until cancelled; what fails is tried again."""
        while True:
            try:
                for source in self._sources:
                    await self._look(source)
            except (StoreError, KafkaError) as error:
                _LOG.warning("a store is not filled again yet: %s", error)
            await asyncio.sleep(LOOK_S)

    async def _look(self, source: _RefillSource) -> None:
        owned = self._owned(source)
        missing = await self.projection.missing([partition_name(source.topic, number) for number in owned])
        partitions = [number for number in owned if partition_name(source.topic, number) in missing]
        if not partitions:
            return
        since_ms = None if source.age_ms is None else clock.now_ms() - source.age_ms
        opened = topic_history(
            self.bootstrap_servers, self.registry, source.topic, since_ms=since_ms, partitions=partitions
        )
        async with opened as history:
            _LOG.info("%s: the store is filled from %d records at most", source.topic.name, history.total)
            await source.fill(history.chunks(_CHUNK))
        still_owned = set(self._owned(source))  # another worker's by now are that worker's to fill
        await self.projection.add(
            [partition_name(source.topic, number) for number in partitions if number in still_owned]
        )

    def _owned(self, source: _RefillSource) -> list[int]:
        return sorted(number for topic, number in self.assigned() if topic == source.owned.name)
