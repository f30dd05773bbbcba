"""What was shown of lists that somebody pages through: `pages:{owner}` in Redis, or memory.

A list moves while it is paged through: a like ranks a feed again. So the next page is cut from the list as it is then,
without what earlier pages showed. What they showed is kept for ten minutes, for the last few lists of each owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors

KEY = "pages:"
MOST_SESSIONS = 8
"""Lists of one owner that are kept, those that were paged through last."""
MOST_ENTRIES = 1_000
"""Entries of a list up to which its pages belong together."""
LIVES_S = 600


class PageEntry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One place of a list."""

    item_id: str
    score: float = 0.0
    reason: str = ""


class PageSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What was shown of a list, from its first page on."""

    listing: str
    """Which list."""
    cursor: str
    """Which time that it was paged through: on two devices there may be two."""
    entries: Sequence[PageEntry]


class PageStore(Protocol):
    """Sessions by their owner. Every method raises `StoreError` when the store does not answer."""

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner, the last one first."""
        ...

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Keep a session, in place of one that it continues."""
        ...


class MemoryPageStore:
    """Sessions of one process, which stay."""

    def __init__(self) -> None:
        self._sessions: dict[str, list[PageSession]] = {}

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner."""
        return list(self._sessions.get(owner, ()))

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Keep a session."""
        others = [one for one in self._sessions.get(owner, ()) if one != instead_of]
        self._sessions[owner] = [session, *others][:MOST_SESSIONS]


class RedisPageStore:
    """Sessions in Redis: a list for each owner, which goes when nobody pages any more."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._encoder, self._decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(PageSession)

    async def read(self, owner: str) -> list[PageSession]:
        """Return the sessions of an owner."""
        with store_errors("reading pages"):
            payloads = cast("list[bytes]", await self._redis.lrange(KEY + owner, 0, MOST_SESSIONS - 1))
        return [self._decoder.decode(data) for data in payloads]

    async def write(self, owner: str, session: PageSession, *, instead_of: PageSession | None = None) -> None:
        """Keep a session, all in one pipeline."""
        pipeline = self._redis.pipeline(transaction=False)
        if instead_of is not None:
            pipeline.lrem(KEY + owner, 1, self._encoder.encode(instead_of))  # type: ignore[arg-type]
        pipeline.lpush(KEY + owner, self._encoder.encode(session))
        pipeline.ltrim(KEY + owner, 0, MOST_SESSIONS - 1)
        pipeline.expire(KEY + owner, LIVES_S)
        with store_errors("keeping pages"):
            await pipeline.execute()
