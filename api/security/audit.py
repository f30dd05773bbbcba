"""The audit log: served recommendations and calls of admin endpoints, as events on the topic `audits`."""

from __future__ import annotations

from collections.abc import Callable

from api.endpoints.metrics import Metrics
from api.http.body import new_id
from api.publish_buffer import PublishBuffer
from api.security.principal import REQUEST_CONTEXT, RequestContext
from infra.kafka.publisher import RecordPublisher
from infra.redis.stores.feed_codec import version
from infra.redis.stores.feed_store import DEFAULT_FEED
from schemas.types import Audit, Feed
from topics.topic import AUDITS

_ACTOR_CHARS = 1_024
"""Names without a limit of their own are cut to this length, so that an event always fits into its topic."""


class Audits:
    """Records audit events; `events` publishes them in the background."""

    def __init__(self, publisher: RecordPublisher, metrics: Metrics, *, now_ms: Callable[[], int], reads: bool) -> None:
        self._now_ms, self._reads = now_ms, reads
        self.events: PublishBuffer[Audit] = PublishBuffer(publisher, AUDITS, metrics, on_loss=metrics.audits_lost.inc)

    def record_feed(self, feed: Feed, count: int) -> None:
        """Record that the current request served the first `count` items of a feed."""
        if not self._reads:
            return
        request_context = REQUEST_CONTEXT.get() or RequestContext("")
        self.events.add(
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
        self.events.add(
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
