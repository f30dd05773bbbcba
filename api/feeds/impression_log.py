"""Impression log: feeds that were served, as impressions that stand in where clients report none.

It is off by default: a feed that was served need not have been seen. An impression that the client reports of the same
request takes its place (`streams.core.outcome.outcome_join`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

from api.endpoints.metrics import Metrics
from api.http.body import new_id
from api.publish_buffer import PublishBuffer
from api.security.principal import REQUEST_CONTEXT, RequestContext
from infra.kafka.publisher import RecordPublisher
from schemas.types import Impression, ShownItem
from topics.topic import IMPRESSIONS

_HASHES = 1 << 32


class ImpressionLog:
    """Logs a share of the feeds that were served; `events` publishes them in the background."""

    def __init__(
        self,
        publisher: RecordPublisher,
        metrics: Metrics,
        *,
        share: float,
        now_ms: Callable[[], int],
    ) -> None:
        """Create the log.

        Args:
            publisher: Publishes the impressions.
            metrics: Counts them.
            share: Share of the served feeds to log, from 0 to 1.
            now_ms: The clock, in ms since the epoch.
        """
        self._share, self._now_ms = share, now_ms
        self.events: PublishBuffer[Impression] = PublishBuffer(
            publisher, IMPRESSIONS, metrics, on_loss=metrics.impressions_lost.inc
        )

    def record(self, user_id: str, item_ids: Sequence[str], *, surface: str = "") -> None:
        """Log that the current request served items to a user, best first.

        Args:
            user_id: The user who was served.
            item_ids: The items of the answer.
            surface: The surface that shows them; empty for all kinds.
        """
        request_id = (REQUEST_CONTEXT.get() or RequestContext("")).request_id
        if not item_ids or zlib.crc32(request_id.encode()) >= self._share * _HASHES:
            return
        self.events.add(
            Impression(
                event_id=new_id(),
                user_id=user_id,
                request_id=request_id or None,
                surface=surface,
                items=[ShownItem(item_id=item_id, position=place) for place, item_id in enumerate(item_ids)],
                occurred_at=self._now_ms(),
                is_reported=False,
            )
        )
