"""Store of the erasures of the last 30 days: `erasure:user:{user_hash}` and two keys by request in Redis.

Users appear as hashes. The counts are what each role has erased: a hash of JSON by role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, cast

import msgspec
from redis.asyncio import Redis

from domain.timestamp import DAY_S
from infra.redis.connection import store_errors

USER, COUNTS, COMPLETED = "erasure:user:", "erasure:counts:", "erasure:completed:"
_TTL_S = 30 * DAY_S
_counts_decoder = msgspec.json.Decoder(dict[str, int])


class StoredErasure(msgspec.Struct, frozen=True, kw_only=True):
    """The newest erasure of a user."""

    user_hash: str
    request_id: str
    requested_at: int
    """In ms since the epoch."""
    partition: int
    """Partition and offset of the request."""
    offset: int


class ErasureCounts(NamedTuple):
    """A user's newest erasure, and the numbers of erased entries by store."""

    erasure: StoredErasure
    counts: Mapping[str, int]


class ErasureStore(Protocol):
    """Erasures by user hash. All methods raise `StoreError` if the store does not answer."""

    async def write(self, erasure: StoredErasure) -> None:
        """Store an erasure in the place of the user's last one."""
        ...

    async def has_counts(self, request_id: str, role: str) -> bool:
        """Return whether a role has reported what it erased.

        Args:
            request_id: The id of the request.
            role: The role.
        """
        ...

    async def add(self, request_id: str, role: str, counts: Mapping[str, int]) -> None:
        """Store the numbers of entries that a role erased, by store; those of a repetition are ignored.

        Args:
            request_id: The id of the request.
            role: The role.
            counts: The numbers.
        """
        ...

    async def complete(self, request_id: str, now_ms: int) -> int:
        """Store the time of completion unless there is one, and return it, in ms since the epoch.

        Args:
            request_id: The id of the request.
            now_ms: The time, in ms since the epoch.
        """
        ...

    async def read(self, user_hash: str) -> ErasureCounts | None:
        """Return a user's newest erasure; None without one in the last 30 days."""
        ...


class MemoryErasureStore:
    """Erasures in memory."""

    def __init__(self) -> None:
        self._erasures: dict[str, StoredErasure] = {}
        self._counts: dict[str, dict[str, Mapping[str, int]]] = {}
        self._completion_times: dict[str, int] = {}

    async def write(self, erasure: StoredErasure) -> None:
        """Store an erasure."""
        self._erasures[erasure.user_hash] = erasure

    async def has_counts(self, request_id: str, role: str) -> bool:
        """Return whether a role has reported what it erased.

        Args:
            request_id: The id of the request.
            role: The role.
        """
        return role in self._counts.get(request_id, {})

    async def add(self, request_id: str, role: str, counts: Mapping[str, int]) -> None:
        """Store the numbers of entries that a role erased.

        Args:
            request_id: The id of the request.
            role: The role.
            counts: The numbers.
        """
        self._counts.setdefault(request_id, {}).setdefault(role, dict(counts))

    async def complete(self, request_id: str, now_ms: int) -> int:
        """Store the time of completion.

        Args:
            request_id: The id of the request.
            now_ms: The time, in ms since the epoch.
        """
        return self._completion_times.setdefault(request_id, now_ms)

    async def read(self, user_hash: str) -> ErasureCounts | None:
        """Return a user's newest erasure."""
        erasure = self._erasures.get(user_hash)
        if erasure is None:
            return None
        return ErasureCounts(erasure, _merged(self._counts.get(erasure.request_id, {}).values()))


class RedisErasureStore:
    """Erasures in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(StoredErasure)

    async def write(self, erasure: StoredErasure) -> None:
        """Store an erasure."""
        with store_errors("storing an erasure"):
            await self._redis.set(USER + erasure.user_hash, msgspec.json.encode(erasure), ex=_TTL_S)

    async def has_counts(self, request_id: str, role: str) -> bool:
        """Return whether a role has reported what it erased.

        Args:
            request_id: The id of the request.
            role: The role.
        """
        with store_errors("reading an erasure"):
            return bool(await self._redis.hexists(COUNTS + request_id, role))

    async def add(self, request_id: str, role: str, counts: Mapping[str, int]) -> None:
        """Store the numbers of entries that a role erased, in one pipeline.

        Args:
            request_id: The id of the request.
            role: The role.
            counts: The numbers.
        """
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hsetnx(COUNTS + request_id, role, msgspec.json.encode(counts))
        pipeline.expire(COUNTS + request_id, _TTL_S)
        with store_errors("counting erased entries"):
            await pipeline.execute()

    async def complete(self, request_id: str, now_ms: int) -> int:
        """Store the time of completion.

        Args:
            request_id: The id of the request.
            now_ms: The time, in ms since the epoch.
        """
        with store_errors("storing an erasure"):
            await self._redis.set(COMPLETED + request_id, now_ms, nx=True, ex=_TTL_S)
            return int(cast("bytes", await self._redis.get(COMPLETED + request_id)))

    async def read(self, user_hash: str) -> ErasureCounts | None:
        """Return a user's newest erasure."""
        with store_errors("reading an erasure"):
            document = cast("bytes | None", await self._redis.get(USER + user_hash))
            if document is None:
                return None
            erasure = self._decoder.decode(document)
            counts = cast("list[bytes]", await self._redis.hvals(COUNTS + erasure.request_id))
        return ErasureCounts(erasure, _merged(_counts_decoder.decode(one) for one in counts))


def _merged(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {name: count for one in counts for name, count in one.items()}
