"""Read model of pushes: devices at `devices:{user_id}` and the newest decisions at `notifications:{user_id}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_MS
from infra.redis.connection import store_errors
from schemas.types import Devices, Notification

DEVICES, NOTIFICATIONS = "devices:", "notifications:"
KEPT = 100
"""Maximum number of decisions per user."""
KEPT_MS = 30 * DAY_MS
"""How long a user's decisions are kept after the last one."""
_encoder = msgspec.json.Encoder()
_devices = msgspec.json.Decoder(Devices)
_notification = msgspec.json.Decoder(Notification)


class PushStore(Protocol):
    """Devices and decisions by user. All methods raise `StoreError` if the store does not answer."""

    async def write_devices(self, devices: Sequence[Devices]) -> None:
        """Replace the devices of users; the last one of a user wins."""
        ...

    async def add_notifications(self, notifications: Sequence[Notification]) -> None:
        """Add decisions; duplicates are ignored, and only the newest ones of each user are kept."""
        ...

    async def read_devices(self, user_id: str) -> Devices | None:
        """Return a user's devices, None if they are unknown."""
        ...

    async def read_notifications(self, user_id: str, limit: int) -> list[Notification]:
        """Return a user's last decisions, newest first.

        Args:
            user_id: The user.
            limit: Maximum number of decisions.
        """
        ...


class MemoryPushStore:
    """Devices and decisions in memory."""

    def __init__(self) -> None:
        self._devices: dict[str, Devices] = {}
        self._notifications: dict[str, list[Notification]] = {}

    async def write_devices(self, devices: Sequence[Devices]) -> None:
        """Replace the devices of users."""
        self._devices.update((user.user_id, user) for user in devices)

    async def add_notifications(self, notifications: Sequence[Notification]) -> None:
        """Add decisions."""
        for new in notifications:
            decisions = self._notifications.setdefault(new.user_id, [])
            if new not in decisions:
                decisions.append(new)
                decisions.sort(key=lambda decision: decision.decided_at)
                del decisions[:-KEPT]

    async def read_devices(self, user_id: str) -> Devices | None:
        """Return a user's devices, None if they are unknown."""
        return self._devices.get(user_id)

    async def read_notifications(self, user_id: str, limit: int) -> list[Notification]:
        """Return a user's last decisions, newest first.

        Args:
            user_id: The user.
            limit: Maximum number of decisions.
        """
        return self._notifications.get(user_id, [])[::-1][:limit]


class RedisPushStore:
    """Devices as JSON; decisions as a set sorted by time, which removes duplicates."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def write_devices(self, devices: Sequence[Devices]) -> None:
        """Replace the devices of users."""
        if devices:
            with store_errors("writing devices"):
                await self._redis.mset({DEVICES + user.user_id: _encoder.encode(user) for user in devices})

    async def add_notifications(self, notifications: Sequence[Notification]) -> None:
        """Add decisions in one pipeline."""
        pipeline = self._redis.pipeline(transaction=False)
        for new in notifications:
            pipeline.zadd(NOTIFICATIONS + new.user_id, {_encoder.encode(new): new.decided_at})
        for key in {NOTIFICATIONS + new.user_id for new in notifications}:
            pipeline.zremrangebyrank(key, 0, -KEPT - 1)
            pipeline.pexpire(key, KEPT_MS)
        with store_errors("writing notifications"):
            await pipeline.execute()

    async def read_devices(self, user_id: str) -> Devices | None:
        """Return a user's devices, None if they are unknown."""
        with store_errors("reading devices"):
            document = cast("bytes | None", await self._redis.get(DEVICES + user_id))
        return None if document is None else _devices.decode(document)

    async def read_notifications(self, user_id: str, limit: int) -> list[Notification]:
        """Return a user's last decisions, newest first.

        Args:
            user_id: The user.
            limit: Maximum number of decisions.
        """
        with store_errors("reading notifications"):
            documents = cast("list[bytes]", await self._redis.zrange(NOTIFICATIONS + user_id, 0, limit - 1, desc=True))
        return [_notification.decode(decision) for decision in documents]
