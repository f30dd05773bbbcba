"""Signs of life: each role says once a second in Redis that it runs, and how far it is."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import msgspec
from redis.asyncio import Redis

from infra import clock
from infra.redis_client import StoreError, store_errors

KEY, INDEX = "role:", "roles"
_INTERVAL_S = 1.0
_LIVES_S = 5
_NAMED_MS = 60_000
"""How long a role that was heard of is looked for."""
_LOG = logging.getLogger(__name__)


async def beat(redis: Redis, role: str, describe: Callable[[], dict[str, Any]]) -> None:
    """Write a sign of life until cancelled, which takes it back; Redis being away is logged and waited out."""
    started_at = clock.now_ms()
    name = f"{KEY}{role}:{socket.gethostname()}:{os.getpid()}"
    try:
        while True:
            sign = {"role": role, "pid": os.getpid(), "started_at": started_at, **describe()}
            try:
                with store_errors("writing a sign of life"):
                    pipeline = redis.pipeline(transaction=False)
                    pipeline.set(name, msgspec.json.encode(sign), ex=_LIVES_S)
                    pipeline.zadd(INDEX, {name: clock.now_ms()})
                    pipeline.zremrangebyscore(INDEX, 0, clock.now_ms() - _NAMED_MS)
                    await pipeline.execute()
            except StoreError as error:
                _LOG.warning("%s", error)
            await asyncio.sleep(_INTERVAL_S)
    finally:
        with suppress(StoreError), store_errors("taking back a sign of life"):
            await redis.delete(name)


async def signs(redis: Redis) -> list[dict[str, Any]]:
    """Return the signs of life of all roles that run.

    Raises:
        StoreError: Redis did not answer.
    """
    with store_errors("reading signs of life"):
        names = sorted(cast("list[bytes]", await redis.zrange(INDEX, 0, -1)))  # the client was not asked to decode
        found = await redis.mget(names) if names else []
    return [msgspec.json.decode(sign) for sign in found if sign is not None]
