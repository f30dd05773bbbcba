"""The audit log: served recommendations and calls of admin endpoints, as events on the topic `audits`.

Requests do not wait for it: events are published in small batches in the background. While the broker is unavailable
they are buffered up to a limit; lost events are counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from api.endpoints.metrics import Metrics
from api.http.body import new_id
from api.security.principal import REQUEST_CONTEXT, RequestContext
from infra.kafka.publisher import PublishError, RecordPublisher
from infra.redis.stores.feed_codec import version
from infra.redis.stores.feed_store import DEFAULT_FEED
from schemas.types import Audit, Feed
from topics.topic import AUDITS

_BUFFER_SIZE = 50_000
_BATCH_SIZE = 50
"""Events per batch: few enough that encoding them delays no request."""
_RETRY_S = 1.0
_FLUSH_TIMEOUT_S = 2.0
_ACTOR_CHARS = 1_024
"""Names without a limit of their own are cut to this length, so that an event always fits into its topic."""


class Audits:
    """Collects audit events and publishes them in the background."""

    def __init__(self, publisher: RecordPublisher, metrics: Metrics, *, now_ms: Callable[[], int], reads: bool) -> None:
        self._publisher, self._metrics, self._now_ms, self._reads = publisher, metrics, now_ms, reads
        self._buffer: deque[Audit] = deque()
        self._has_events = asyncio.Event()

    def record_feed(self, feed: Feed, count: int) -> None:
        """Record that the current request served the first `count` items of a feed."""
        if not self._reads:
            return
        request_context = REQUEST_CONTEXT.get() or RequestContext("")
        self._add(
            Audit(
                audit_id=new_id(),
                kind="recommendations_served",
                actor=request_context.actor[:_ACTOR_CHARS],
                user_id=request_context.user_id if feed.user_id == DEFAULT_FEED else feed.user_id,
                request_id=request_context.request_id,
                version=version(feed),
                model=feed.model,
                count=count,
                fallback=feed.user_id == DEFAULT_FEED,
                occurred_at=self._now_ms(),
            )
        )

    def record_request(self, method: str, path: str, *, user_id: str, status: int) -> None:
        """Record a call of an admin endpoint, whether it was authorized or not.

        Args:
            method: The HTTP method.
            path: The declared path.
            user_id: The user in the path; empty if there is none.
            status: The response's status.
        """
        request_context = REQUEST_CONTEXT.get() or RequestContext("")
        self._add(
            Audit(
                audit_id=new_id(),
                kind="admin_call",
                actor=request_context.actor[:_ACTOR_CHARS],
                user_id=(user_id or request_context.actor)[:_ACTOR_CHARS],
                request_id=request_context.request_id,
                method=method,
                path=path,
                status=status,
                occurred_at=self._now_ms(),
            )
        )

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
            await self._publisher.publish(AUDITS, batch)
        except (PublishError, asyncio.CancelledError) as error:
            self._buffer.extendleft(reversed(batch))
            if isinstance(error, asyncio.CancelledError):
                raise
            self._metrics.publish_failures.labels(AUDITS.name).inc()
            return False
        self._metrics.published_events.labels(AUDITS.name).inc(len(batch))
        if not self._buffer:
            self._has_events.clear()
        return True

    def _add(self, audit: Audit) -> None:
        if len(self._buffer) >= _BUFFER_SIZE:
            self._metrics.audits_lost.inc()
            return
        self._buffer.append(audit)
        self._has_events.set()
