"""Sessions of pagination through changing lists: `pages:{owner}` in Redis, or memory.

A list changes during pagination: a like re-ranks a feed. So the next page is taken from the current list, without the
entries of earlier pages. These entries are kept for ten minutes, for the most recent lists of each owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

KEY = "pages:"
MAX_SESSIONS = 8
"""Maximum number of sessions per owner; the most recent ones are kept."""
MAX_ENTRIES = 1_000
"""Maximum number of entries in a session."""
TTL_S = 600


class PageEntry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One entry of a list."""

    item_id: str
    score: float = 0.0
    reason: str = ""


class PageSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The entries of a list that were returned since its first page."""

    listing: str
    """Name of the list."""
    cursor: str
    """Id of the pagination: two devices may page through one list at the same time."""
    entries: Sequence[PageEntry]


class PageStore(Protocol):
    """Sessions by owner. All methods raise `StoreError` if the store does not answer."""

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner, newest first."""
        ...

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Store a session.

        Args:
            owner: The owner.
            session: The session.
            instead_of: The earlier state of the session, which it replaces.
        """
        ...


class MemoryPageStore:
    """Sessions in memory, which do not expire."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[PageSession]] = {}

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner, newest first."""
        return list(self._sessions.get(owner, ()))

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Store a session.

        Args:
            owner: The owner.
            session: The session.
            instead_of: The earlier state of the session, which it replaces.
        """
        others = [one for one in self._sessions.get(owner, ()) if one != instead_of]
        self._sessions[owner] = [session, *others][:MAX_SESSIONS]


class RedisPageStore:
    """Sessions in Redis: one list per owner, which expires after the last page."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._encoder, self._decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(PageSession)

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner, newest first."""
        with store_errors("reading pages"):
            payloads = cast("list[bytes]", await self._redis.lrange(KEY + owner, 0, MAX_SESSIONS - 1))
        return [self._decoder.decode(data) for data in payloads]

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Store a session in one pipeline.

        Args:
            owner: The owner.
            session: The session.
            instead_of: The earlier state of the session, which it replaces.
        """
        pipeline = self._redis.pipeline(transaction=False)
        if instead_of is not None:
            pipeline.lrem(KEY + owner, 1, self._encoder.encode(instead_of))  # type: ignore[arg-type]
        pipeline.lpush(KEY + owner, self._encoder.encode(session))
        pipeline.ltrim(KEY + owner, 0, MAX_SESSIONS - 1)
        pipeline.expire(KEY + owner, TTL_S)
        with store_errors("storing pages"):
            await pipeline.execute()
