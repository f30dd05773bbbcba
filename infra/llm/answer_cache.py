"""Cache of answers, at `llm:answer:{hash of the question}`: a repeated question costs nothing.

The source of truth is the topic `llm-calls`: `streams.runtime.refill.answer_cache_refill` fills an empty Redis from it,
so a replay sends no answered question to the model again.
"""

from __future__ import annotations

import logging
from typing import cast

from redis.asyncio import Redis

from infra.redis.connection import StoreError, store_errors

KEY = "llm:answer:"
_LOG = logging.getLogger(__name__)


class AnswerCache:
    """Validated answers as JSON, by the hash of their question."""

    def __init__(self, redis: Redis, *, ttl_s: float) -> None:
        self._redis, self._ttl_ms = redis, round(ttl_s * 1_000)

    async def read(self, name: str) -> bytes | None:
        """Return an answer, None if there is none.

        Raises:
            StoreError: Redis does not answer.
        """
        with store_errors("looking up an answer"):
            return cast("bytes | None", await self._redis.get(KEY + name))

    async def write(self, name: str, answer: bytes, *, age_ms: int = 0) -> None:
        """Store an answer of some age in ms; while Redis is unavailable, the answer is on its topic only."""
        left_ms = self._ttl_ms - age_ms
        if left_ms <= 0:
            return
        try:
            with store_errors("storing an answer"):
                await self._redis.set(KEY + name, answer, px=left_ms)
        except StoreError as error:
            _LOG.warning("%s", error)
