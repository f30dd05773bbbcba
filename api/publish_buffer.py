"""Publish buffer: events that requests do not wait for are published in small batches in the background.

While the broker is unavailable they are buffered up to a limit; lost events are counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

import msgspec

from api.endpoints.metrics import Metrics
from infra.kafka.publisher import PublishError, RecordPublisher
from topics import Topic

R = TypeVar("R", bound=msgspec.Struct)

_BUFFER_SIZE = 50_000
_BATCH_SIZE = 50
"""Events per batch: few enough that encoding them delays no request."""
_RETRY_S = 1.0
_FLUSH_TIMEOUT_S = 2.0


class PublishBuffer(Generic[R]):
    """Collects events of one topic and publishes them in the background."""

    def __init__(
        self, publisher: RecordPublisher, topic: Topic, metrics: Metrics, *, on_loss: Callable[[], None]
    ) -> None:
        """Start empty.

        Args:
            publisher: Publishes the events.
            topic: Their topic.
            metrics: Counts what was published.
            on_loss: Called for each event that is lost because the buffer is full.
        """
        self._publisher, self._topic, self._metrics, self._on_loss = publisher, topic, metrics, on_loss
        self._buffer: deque[R] = deque()
        self._has_events = asyncio.Event()

    def add(self, event: R) -> None:
        """Collect an event."""
        if len(self._buffer) >= _BUFFER_SIZE:
            self._on_loss()
            return
        self._buffer.append(event)
        self._has_events.set()

    async def run(self) -> None:
        """Publish collected events until cancelled."""
        while True:
            await self._has_events.wait()
            if not await self._publish():
                await asyncio.sleep(_RETRY_S)

    async def flush(self) -> None:
        """Publish the remaining events, within a short timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                while self._buffer and await self._publish():
                    pass

    async def _publish(self) -> bool:
        batch = [self._buffer.popleft() for _ in range(min(_BATCH_SIZE, len(self._buffer)))]
        try:
            await self._publisher.publish(self._topic, batch)
        except (PublishError, asyncio.CancelledError) as error:
            self._buffer.extendleft(reversed(batch))
            if isinstance(error, asyncio.CancelledError):
                raise
            self._metrics.publish_failures.labels(self._topic.name).inc()
            return False
        self._metrics.published_events.labels(self._topic.name).inc(len(batch))
        if not self._buffer:
            self._has_events.clear()
        return True
