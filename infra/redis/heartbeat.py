"""Heartbeats: each role writes its progress to Redis once a second."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_MS
from infra import clock
from infra.redis.connection import StoreError, store_errors

KEY, INDEX = "role:", "roles"
_INTERVAL_S = 1.0
_TTL_S = 5
_RETENTION_MS, _MAX_PROCESSES = DAY_MS, 1_000
"""Retention of processes after their last heartbeat, in ms, and the maximum number of them."""
_LOG = logging.getLogger(__name__)


class RoleLife(NamedTuple):
    """A process of a role that was not stopped in order."""

    role: str
    last_at: int
    """Time of its last heartbeat, in ms since the epoch."""
    is_alive: bool


async def publish_heartbeat(redis: Redis, role: str, describe: Callable[[], dict[str, Any]]) -> None:
    """Write heartbeats until cancelled, then delete the last one; failures of Redis are logged.

    The process itself is still remembered: without `remove_heartbeat`, its end counts as a failure.

    Args:
        redis: Client.
        role: Name of the role.
        describe: Returns the progress of the role.
    """
    started_at = clock.now_ms()
    name = _name(role)
    try:
        while True:
            process = {"role": role, "pid": os.getpid(), "started_at": started_at, "reported_at": clock.now_ms()}
            report = {**process, **describe()}
            try:
                with store_errors("writing a heartbeat"):
                    pipeline = redis.pipeline(transaction=False)
                    pipeline.set(name, msgspec.json.encode(report), ex=_TTL_S)
                    pipeline.zadd(INDEX, {name: clock.now_ms()})
                    pipeline.zremrangebyscore(INDEX, 0, clock.now_ms() - _RETENTION_MS)
                    pipeline.zremrangebyrank(INDEX, 0, -_MAX_PROCESSES - 1)
                    await pipeline.execute()
            except StoreError as error:
                _LOG.warning("%s", error)
            await asyncio.sleep(_INTERVAL_S)
    finally:
        with suppress(StoreError), store_errors("removing a heartbeat"):
            await redis.delete(name)


async def heartbeats(redis: Redis) -> list[dict[str, Any]]:
    """Return the current heartbeats of all roles.

    Raises:
        StoreError: Redis does not answer.
    """
    with store_errors("reading heartbeats"):
        names = sorted(cast("list[bytes]", await redis.zrange(INDEX, 0, -1)))  # the client does not decode
        payloads = await redis.mget(names) if names else []
    return [msgspec.json.decode(payload) for payload in payloads if payload is not None]


async def role_lives(redis: Redis) -> list[RoleLife]:
    """Return the processes of the last day that were not stopped in order, alive or not.

    Raises:
        StoreError: Redis does not answer.
    """
    with store_errors("reading the lives of roles"):
        names = cast("list[tuple[bytes, float]]", await redis.zrange(INDEX, 0, -1, withscores=True))
        heartbeat_list = await redis.mget([name for name, _ in names]) if names else []
    return [
        RoleLife(name.decode().removeprefix(KEY).partition(":")[0], round(last_at), payload is not None)
        for (name, last_at), payload in zip(names, heartbeat_list, strict=True)
    ]


async def remove_heartbeat(redis: Redis, roles: Iterable[str]) -> None:
    """Record the orderly end of roles in this process, so that they are not reported as missing.

    Raises:
        StoreError: Redis does not answer.
    """
    with store_errors("recording the end of roles"):
        await redis.zrem(INDEX, *map(_name, roles))


def _name(role: str) -> str:
    return f"{KEY}{role}:{socket.gethostname()}:{os.getpid()}"
