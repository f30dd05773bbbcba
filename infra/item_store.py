"""The catalogue as the API shows it: each item's JSON, ready to be embedded, at `item:{item_id}`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from redis.asyncio import Redis

from infra.coalescer import Coalescer
from infra.redis_client import store_errors
from schemas.types import Item

T = TypeVar("T")

KEY = "item:"
_encoder = msgspec.json.Encoder()


class ItemStore(Protocol):
    """JSON of items by their id. Every method raises `StoreError` when the store does not answer."""

    async def write(self, items: Sequence[Item]) -> None:
        """Store items; of one id the last holds."""
        ...

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items; those that are not there are left out."""
        ...

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON, None where there is none."""
        ...


class MemoryItemStore:
    """Items of one process."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}

    async def write(self, items: Sequence[Item]) -> None:
        """Store items."""
        self._items.update((item.item_id, _encoder.encode(item)) for item in items)

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items."""
        for item_id in item_ids:
            self._items.pop(item_id, None)

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON."""
        return [self._items.get(item_id) for item_id in item_ids]


class RedisItemStore:
    """Items in Redis: a write is one MSET, the reads of a loop tick are one MGET."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reads: Coalescer[bytes | None] = Coalescer(self._fetch)

    async def write(self, items: Sequence[Item]) -> None:
        """Store items."""
        if items:
            with store_errors("writing items"):
                await self._redis.mset({KEY + item.item_id: _encoder.encode(item) for item in items})

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items."""
        if item_ids:
            with store_errors("deleting items"):
                await self._redis.delete(*(KEY + item_id for item_id in item_ids))

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON."""
        return await self._reads.read(item_ids)

    async def _fetch(self, item_ids: Sequence[str]) -> list[bytes | None]:
        with store_errors("reading items"):
            found = await self._redis.mget([KEY + item_id for item_id in item_ids])
        return cast("list[bytes | None]", found)  # the client was not asked to decode


class ItemCache:
    """Keeps the JSON of items for a short while, so that a feed costs one read and not fifty.

    A changed item shows after at most `ttl_s`. What is missing is not remembered, so that a new item shows at once.
    When `capacity` is reached the oldest entries go.
    """

    def __init__(
        self,
        items: ItemStore,
        *,
        ttl_s: float = 30.0,
        capacity: int = 100_000,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._items = items
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._clock_s = clock_s
        self._entries: dict[str, msgspec.Raw] = {}
        self._ends: deque[tuple[float, str]] = deque()
        """When each entry goes, soonest first; one of each, so that a look-up needs no look at the clock."""

    async def read(self, item_ids: Sequence[str]) -> tuple[list[msgspec.Raw | None], int]:
        """Return the items' JSON, None where there is none, and how many were not in the cache.

        Raises:
            StoreError: some were not in the cache and the store did not answer.
        """
        self._expire()
        found: list[msgspec.Raw | None] = list(map(self._entries.get, item_ids))
        if None not in found:
            return found, 0
        missing = [item_id for item_id, data in zip(item_ids, found, strict=True) if data is None]
        fetched = dict(zip(missing, await self._items.read(missing), strict=True))
        for item_id, data in fetched.items():
            if data is not None:
                self._keep(item_id, msgspec.Raw(data))
        return [
            self._entries.get(item_id) if item_id in fetched else data
            for item_id, data in zip(item_ids, found, strict=True)
        ], len(missing)

    def _keep(self, item_id: str, data: msgspec.Raw) -> None:
        if item_id not in self._entries:
            self._ends.append((self._clock_s() + self._ttl_s, item_id))
        self._entries[item_id] = data

    def _expire(self) -> None:
        now_s = self._clock_s()
        while self._ends and (self._ends[0][0] <= now_s or len(self._entries) > self._capacity):
            del self._entries[self._ends.popleft()[1]]


class ItemReader(Generic[T]):
    """Reads the JSON of items: each once for as long as it is the same object, as while an `ItemCache` keeps it."""

    def __init__(self, read: Callable[[msgspec.Raw], T], *, capacity: int = 50_000) -> None:
        self._read, self._capacity = read, capacity
        self._known: dict[str, tuple[msgspec.Raw, T]] = {}

    def read(self, item_id: str, data: msgspec.Raw) -> T:
        """Return what an item's JSON was read as; it is shared, do not change it."""
        known = self._known.get(item_id)
        if known is None or known[0] is not data:
            if len(self._known) >= self._capacity:
                self._known.clear()  # what is shown comes back at once
            known = self._known[item_id] = data, self._read(data)
        return known[1]
