"""Impressions that wait for an action: `impressions:{user_id}` in Redis, items by the time they were shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from redis.asyncio import Redis

from domain.timestamp import HOUR_MS
from infra.redis.connection import store_errors
from schemas.types import Impression

KEY = "impressions:"
ATTRIBUTION_MS = HOUR_MS
"""Longest time from an impression to an action that counts as its click."""
MAX_ITEMS = 500
"""Impressions per user that wait."""


class RedisImpressionStore:
    """Each impression is returned once as shown, and at most once as clicked, however often its events are written."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def show(self, impressions: Sequence[Impression]) -> list[int]:
        """Note items as shown, and return the time of each impression that is new, in ms since the epoch.

        Raises:
            StoreError: Redis does not answer.
        """
        shown_items = [(one.user_id, item.item_id, one.occurred_at) for one in impressions for item in one.items]
        pipeline = self._redis.pipeline(transaction=False)
        for user_id, item_id, at_ms in shown_items:
            pipeline.zadd(KEY + user_id, {item_id: at_ms}, gt=True, ch=True)
        for user_id in {user_id for user_id, _, _ in shown_items}:
            pipeline.zremrangebyrank(KEY + user_id, 0, -MAX_ITEMS - 1)
            pipeline.pexpire(KEY + user_id, ATTRIBUTION_MS)
        with store_errors("noting impressions"):
            changes = await pipeline.execute()
        return [at_ms for (_, _, at_ms), is_new in zip(shown_items, changes, strict=False) if is_new]

    async def click(self, actions: Iterable[tuple[str, str, int]]) -> list[int]:
        """Take the impressions that users acted on, and return the time of each, in ms since the epoch.

        Args:
            actions: User id, item id and time in ms since the epoch.

        Raises:
            StoreError: Redis does not answer.
        """
        pipeline, times_ms = self._redis.pipeline(transaction=True), []
        for user_id, item_id, at_ms in actions:
            pipeline.zscore(KEY + user_id, item_id)
            pipeline.zrem(KEY + user_id, item_id)
            times_ms.append(at_ms)
        with store_errors("taking clicked impressions"):
            answers = await pipeline.execute()
        shown_ms = [None if score is None else int(score) for score in answers[::2]]
        return [
            start_ms
            for start_ms, at_ms in zip(shown_ms, times_ms, strict=True)
            if start_ms and 0 <= at_ms - start_ms <= ATTRIBUTION_MS
        ]
