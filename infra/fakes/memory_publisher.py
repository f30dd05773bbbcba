"""In-memory publisher for tests and experiments: the methods of `RecordPublisher` without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from infra.kafka.partition import partition_of
from infra.kafka.publisher import PublishError
from topics import Topic


class MemoryPublisher:
    """Keeps published records by topic.

    With `is_unavailable` set it fails as if the broker were unavailable; with `silent` set it never returns.
    """

    def __init__(self) -> None:
        self.records_by_topic: dict[str, list[msgspec.Struct]] = {}
        self.is_unavailable = False
        self.silent = False
        self._change = asyncio.Condition()

    def values_of(self, topic: Topic) -> list[Any]:
        """Return the records published to a topic."""
        return self.records_by_topic.get(topic.name, [])

    async def wait_for(self, topic: Topic, count: int = 1) -> list[Any]:
        """Wait until so many records are published to a topic, and return all of them."""
        async with self._change:
            await self._change.wait_for(lambda: len(self.values_of(topic)) >= count)
        return self.values_of(topic)

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> dict[int, int]:
        """Keep the records; return the last offset of each partition.

        Raises:
            PublishError: `is_unavailable` is set.
        """
        if self.silent:
            await asyncio.Event().wait()
        if self.is_unavailable:
            raise PublishError(topic.name, "the broker is away")
        async with self._change:
            records = self.records_by_topic.setdefault(topic.name, [])
            first = len(records)
            records.extend(values)
            self._change.notify_all()
        return {
            partition_of(topic.key_of(value) or b"", topic.partitions): offset
            for offset, value in enumerate(values, first)
        }
