"""What the endpoints work with: clients handed in by the composition root, settings, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from api.error import BrokerAwayError
from api.metrics import Metrics
from infra.feed_store import FeedStore
from infra.item_store import ItemCache, ItemStore
from infra.model_board import BoardStore, MemoryBoardStore
from infra.probe import Probe
from infra.publisher import PublishError
from infra.settings import Settings
from topics import Topic


class Publishes(Protocol):
    """Publishes records and returns once the broker has acknowledged them, or raises PublishError."""

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records to one topic."""
        ...


def wall_clock_ms() -> int:
    """Return the time in ms since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The outside world as the API needs it; the app closes it when it stops."""

    publisher: Publishes
    feeds: FeedStore
    items: ItemStore
    boards: BoardStore = field(default_factory=MemoryBoardStore)
    """What the trainer tells of the models."""
    probes: Mapping[str, Probe] = field(default_factory=dict)
    """What /health asks, by dependency: kafka, registry, redis, database."""
    now_ms: Callable[[], int] = wall_clock_ms
    closers: Sequence[Callable[[], Awaitable[object]]] = ()
    """Run in this order after the last request, such as `publisher.close` and `redis.aclose`."""

    async def close(self) -> None:
        """Close what the API was given."""
        await self.feeds.close()
        for close in self.closers:
            await close()


@dataclass(frozen=True, slots=True)
class Context:
    """One app's clients, settings, metrics and item cache."""

    settings: Settings
    clients: Clients
    metrics: Metrics
    items: ItemCache

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> None:
        """Publish records and return once the broker has them.

        Raises:
            BrokerAwayError: it did not acknowledge within the setting's time.
        """
        try:
            async with asyncio.timeout(self.settings.api_publish_timeout_s):
                await self.clients.publisher.publish(topic, values)
        except (PublishError, TimeoutError) as error:
            self.metrics.publish_failures.labels(topic.name).inc()
            raise BrokerAwayError from error
        self.metrics.published.labels(topic.name).inc(len(values))
