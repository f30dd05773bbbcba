"""Cache of a language model's scores of items for users, at `llm:scores:{user_id}` in Redis."""

from __future__ import annotations

from typing import cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from schemas.types import LlmScores

KEY = "llm:scores:"


class LlmScoreStore:
    """The newest scores of each user. All methods raise `StoreError` if Redis does not answer."""

    def __init__(self, redis: Redis, *, ttl_s: float) -> None:
        """Create a store.

        Args:
            redis: The client.
            ttl_s: Time after which scores expire, in seconds.
        """
        self._redis, self._ttl_ms = redis, round(ttl_s * 1_000)

    async def write(self, scores: LlmScores) -> None:
        """Replace a user's scores."""
        with store_errors("writing scores"):
            await self._redis.set(KEY + scores.user_id, msgspec.msgpack.encode(scores), px=self._ttl_ms)

    async def delete(self, user_id: str) -> None:
        """Delete a user's scores."""
        with store_errors("deleting scores"):
            await self._redis.delete(KEY + user_id)

    async def read(self, user_id: str) -> LlmScores | None:
        """Return a user's scores, None if there are none."""
        with store_errors("reading scores"):
            payload = cast("bytes | None", await self._redis.get(KEY + user_id))
        return None if payload is None else msgspec.msgpack.decode(payload, type=LlmScores)
