"""User eraser: what a role does with an erasure request beside its own state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from redis.asyncio import Redis

from infra.erasure.erasure_store import ErasureStore, RedisErasureStore
from infra.redis.user_keys import erase_keys
from schemas.types import ErasureRequest
from streams.runtime.retry import retry_until_available

_WAITS = "an erasure waits for the store"


class UserEraser(Protocol):
    """Erases what a role has written for a user to a store, and counts what it erased."""

    async def erase(self, request: ErasureRequest, counts: Mapping[str, int]) -> None:
        """Erase a user, however long the store is unavailable; a repeated request has no effect.

        Args:
            request: The request.
            counts: Numbers of entries that the role erased elsewhere, by store.
        """
        ...


class RedisUserEraser:
    """Erases the keys of a role in Redis, and reports all of its counts."""

    def __init__(self, redis: Redis, role: str) -> None:
        """Create an eraser.

        Args:
            redis: Client.
            role: The role.
        """
        self._redis, self._role = redis, role
        self._store: ErasureStore = RedisErasureStore(redis)

    async def erase(self, request: ErasureRequest, counts: Mapping[str, int]) -> None:
        """Erase a user."""

        async def work() -> None:
            if await self._store.has_counts(request.event_id, self._role):
                return
            keys = await erase_keys(self._redis, request.user_id, role=self._role)
            await self._store.add(request.event_id, self._role, {**counts, **keys})

        await retry_until_available(work, _WAITS)
