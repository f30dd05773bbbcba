"""Log of a user's interactions of the last day, limited in size: `interaction_log:{user_id}` in Redis, or memory.

Beside it lies the offset of the user's newest interaction that the API published, `published_interaction:{user_id}`,
for `PUBLISHED_TTL_S`: what was computed from interactions before it is out of date.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_MS
from infra.redis.coalescer import Coalescer
from infra.redis.connection import store_errors
from schemas.types import Interaction

KEY, PUBLISHED = "interaction_log:", "published_interaction:"
PUBLISHED_TTL_S = 300
"""Lifetime of an offset in seconds: an interaction that changes nothing, such as a repeated one, is never reflected."""
MAX_EVENTS = 500
"""Maximum number of interactions per user."""
ENTRY_BYTES = 8 << 10
"""Size in bytes above which the context of an interaction is omitted."""
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Interaction)


class InteractionLog(Protocol):
    """Interactions of the last day. All methods raise `StoreError` if the store does not answer."""

    async def write(self, events: Sequence[Interaction]) -> None:
        """Add events; duplicates have no effect, and events older than a day are ignored."""
        ...

    async def read(self, user_id: str) -> list[Interaction]:
        """Return a user's interactions of the last day, newest first."""
        ...

    async def write_offset(self, user_id: str, offset: int) -> None:
        """Store the offset of an interaction that was published for a user.

        Args:
            user_id: The user.
            offset: The offset of the interaction in the user's partition.
        """
        ...

    async def read_offset(self, user_id: str) -> int:
        """Return the offset of the newest interaction published for a user within `PUBLISHED_TTL_S`, or -1."""
        ...


class MemoryInteractionLog:
    """The log in memory."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        """Start empty.

        Args:
            clock_s: The clock, in seconds since the epoch.
        """
        self._clock_s = clock_s
        self._events: dict[tuple[str, str], Interaction] = {}
        self._offsets: dict[str, int] = {}

    async def write(self, events: Sequence[Interaction]) -> None:
        """Add events."""
        self._events |= {(event.user_id, event.event_id): _decoder.decode(_entry(event)) for event in events}

    async def read(self, user_id: str) -> list[Interaction]:
        """Return a user's interactions of the last day, newest first."""
        since_ms = self._clock_s() * 1_000 - DAY_MS
        mine = (event for event in self._events.values() if event.user_id == user_id and event.occurred_at > since_ms)
        return sorted(mine, key=lambda event: event.occurred_at, reverse=True)[:MAX_EVENTS]

    async def write_offset(self, user_id: str, offset: int) -> None:
        """Store the offset of a published interaction.

        Args:
            user_id: The user.
            offset: The offset of the interaction in the user's partition.
        """
        self._offsets[user_id] = offset

    async def read_offset(self, user_id: str) -> int:
        """Return the offset of the newest published interaction, or -1."""
        return self._offsets.get(user_id, -1)


class RedisInteractionLog:
    """The log in Redis: one sorted set by time per user, which expires a day after the last event."""

    def __init__(self, redis: Redis, *, clock_s: Callable[[], float] = time.time) -> None:
        """Create a log.

        Args:
            redis: The client.
            clock_s: The clock, in seconds since the epoch.
        """
        self._redis, self._clock_s = redis, clock_s
        self._offsets: Coalescer[bytes | None] = Coalescer(self._fetch_offsets)

    async def write(self, events: Sequence[Interaction]) -> None:
        """Add events."""
        since_ms = self._since_ms()
        by_user: dict[str, dict[bytes, int]] = {}
        for event in events:
            if event.occurred_at > since_ms:
                by_user.setdefault(event.user_id, {})[_entry(event)] = event.occurred_at
        pipeline = self._redis.pipeline(transaction=False)
        for user_id, entries in by_user.items():
            key = KEY + user_id
            pipeline.zadd(key, entries)
            pipeline.zremrangebyscore(key, "-inf", since_ms)
            pipeline.zremrangebyrank(key, 0, -MAX_EVENTS - 1)
            pipeline.pexpire(key, DAY_MS)
        with store_errors("logging interactions"):
            await pipeline.execute()

    async def read(self, user_id: str) -> list[Interaction]:
        """Return a user's interactions of the last day, newest first."""
        with store_errors("reading interactions"):
            entries = await self._redis.zrange(KEY + user_id, "+inf", f"({self._since_ms()}", desc=True, byscore=True)
        return [_decoder.decode(data) for data in cast("list[bytes]", entries)]  # the client does not decode

    async def write_offset(self, user_id: str, offset: int) -> None:
        """Store the offset of a published interaction.

        Args:
            user_id: The user.
            offset: The offset of the interaction in the user's partition.
        """
        with store_errors("writing the offset of an interaction"):
            await self._redis.set(PUBLISHED + user_id, offset, ex=PUBLISHED_TTL_S)

    async def read_offset(self, user_id: str) -> int:
        """Return the offset of the newest published interaction, or -1."""
        (offset,) = await self._offsets.read([user_id])
        return -1 if offset is None else int(offset)

    async def _fetch_offsets(self, user_ids: Sequence[str]) -> list[bytes | None]:
        with store_errors("reading the offsets of interactions"):
            offsets = await self._redis.mget([PUBLISHED + user_id for user_id in user_ids])
        return cast("list[bytes | None]", offsets)  # the client does not decode

    def _since_ms(self) -> int:
        return round(self._clock_s() * 1_000) - DAY_MS


def _entry(event: Interaction) -> bytes:
    """Return an event as JSON, without its context if it is large."""
    data = _encoder.encode(event)
    return data if len(data) <= ENTRY_BYTES else _encoder.encode(msgspec.structs.replace(event, context={}))
