"""Stand-ins for servers, shipped for tests and for trying things out: same methods, no network."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from infra.kafka.publisher import PublishError
from topics import Topic


class MemoryPublisher:
    """Keeps what is published, by topic.

    With `away` set it refuses as when the broker is gone, with `silent` set it never answers.
    """

    def __init__(self) -> None:
        self.published: dict[str, list[msgspec.Struct]] = {}
        self.away = False
        self.silent = False

    def of(self, topic: Topic) -> list[Any]:
        """Return what was published to a topic."""
        return self.published.get(topic.name, [])

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Keep the values.

        Raises:
            PublishError: `away` is set.
        """
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise PublishError(topic.name, "the broker is away")
        self.published.setdefault(topic.name, []).extend(values)
