"""Counters of rate limits in Redis, over the connections of an existing client."""

from __future__ import annotations

from typing import Any

from limits.aio.storage import RedisStorage, Storage
from redis.asyncio import Redis


def rate_limit_storage(redis: Redis) -> Storage:
    """Return the storage of the counters; it raises `limits.errors.StorageError` if Redis does not answer."""
    options: dict[str, Any] = {"connection_pool": redis.connection_pool}
    return RedisStorage("async+redis://", implementation="redispy", wrap_exceptions=True, **options)
