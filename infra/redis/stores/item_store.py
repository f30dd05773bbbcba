"""Read model of the catalog for the API: the JSON of each item, ready to be embedded, at `item:{item_id}`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Generic, Protocol, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.redis.coalescer import Coalescer
from infra.redis.connection import store_errors
from schemas.types import Item

T = TypeVar("T")

KEY = "item:"
CHANNEL = "items"
"""Channel for the ids of changed and deleted items."""
_RETRY_S = 1.0
_encoder = msgspec.json.Encoder()
_id_encoder, _id_decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(list[str])


class ItemStore(Protocol):
    """JSON of items by id. All methods raise `StoreError` if the store does not answer."""

    async def write(self, items: Sequence[Item]) -> None:
        """Store items; the last one of an id wins."""
        ...

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items; unknown ones are ignored."""
        ...

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON, None for unknown ones."""
        ...

    def changes(self) -> AsyncIterator[Sequence[str] | None]:
        """Yield the ids of changed and deleted items forever; None after a gap in which changes may be lost."""
        ...


class MemoryItemStore:
    """Items in memory."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}
        self._listeners: set[asyncio.Queue[Sequence[str]]] = set()

    async def write(self, items: Sequence[Item]) -> None:
        """Store items."""
        self._items.update((item.item_id, _encoder.encode(item)) for item in items)
        self._tell([item.item_id for item in items])

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items."""
        for item_id in item_ids:
            self._items.pop(item_id, None)
        self._tell(item_ids)

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON."""
        return [self._items.get(item_id) for item_id in item_ids]

    async def changes(self) -> AsyncIterator[Sequence[str] | None]:
        """Yield None for earlier changes, then the ids of items as they change."""
        queue: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield None
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def _tell(self, item_ids: Sequence[str]) -> None:
        for queue in self._listeners:
            queue.put_nowait(item_ids)


class RedisItemStore:
    """Items in Redis: a write is one MSET, the reads of one event loop tick are one MGET, and changes are published."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reads: Coalescer[bytes | None] = Coalescer(self._fetch)

    async def write(self, items: Sequence[Item]) -> None:
        """Store items."""
        if items:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.mset({KEY + item.item_id: _encoder.encode(item) for item in items})
            pipeline.publish(CHANNEL, _id_encoder.encode([item.item_id for item in items]))
            with store_errors("writing items"):
                await pipeline.execute()

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items."""
        if item_ids:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.delete(*(KEY + item_id for item_id in item_ids))
            pipeline.publish(CHANNEL, _id_encoder.encode(item_ids))
            with store_errors("deleting items"):
                await pipeline.execute()

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON."""
        return await self._reads.read(item_ids)

    async def changes(self) -> AsyncIterator[Sequence[str] | None]:
        """Yield the ids of items as they change, and None after each new connection.

        The client reconnects and subscribes again by itself; like the first subscription, this produces a message.
        """
        while True:
            with suppress(RedisError, OSError):
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(CHANNEL)
                    async for message in pubsub.listen():
                        yield _decoded_ids(message["data"]) if message["type"] == "message" else None
            await asyncio.sleep(_RETRY_S)

    async def _fetch(self, item_ids: Sequence[str]) -> list[bytes | None]:
        with store_errors("reading items"):
            documents = await self._redis.mget([KEY + item_id for item_id in item_ids])
        return cast("list[bytes | None]", documents)  # the client does not decode


def _decoded_ids(data: bytes) -> list[str] | None:
    """Return the ids in a message, None if it cannot be decoded."""
    try:
        return _id_decoder.decode(data)
    except msgspec.DecodeError:
        return None


class ItemCache:
    """A short-lived cache of the items' JSON, so that a feed of 50 items takes one read.

    While `follow` runs, a changed item is evicted at once; otherwise a change is visible after at most `ttl_s` seconds.
    Missing items are not cached, so that new ones are visible at once. At `capacity` the oldest entries are evicted.
    """

    def __init__(
        self,
        items: ItemStore,
        *,
        ttl_s: float = 30.0,
        capacity: int = 100_000,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            items: The store that is read at a miss.
            ttl_s: Time for which an entry is served, in seconds.
            capacity: Largest number of entries.
            clock_s: A monotonic clock, in seconds.
        """
        self._items = items
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._clock_s = clock_s
        self._entries: dict[str, msgspec.Raw] = {}
        self._ends: deque[tuple[float, str]] = deque()
        """Expiry of the entries, soonest first, so that a lookup needs no check of the time."""
        self._forget_count = 0
        """Number of evictions because of changes: a read that overlaps with one may return old data."""
        self._watchers: dict[asyncio.Event, Sequence[str]] = {}

    async def read(self, item_ids: Sequence[str]) -> tuple[list[msgspec.Raw | None], int]:
        """Return the items' JSON, None for unknown ones, and the number of cache misses.

        Raises:
            StoreError: there was a cache miss, and the store does not answer.
        """
        self._expire()
        documents: list[msgspec.Raw | None] = list(map(self._entries.get, item_ids))
        if None not in documents:
            return documents, 0
        missing = [item_id for item_id, data in zip(item_ids, documents, strict=True) if data is None]
        forget_count = self._forget_count
        stored_items = dict(zip(missing, await self._items.read(missing), strict=True))
        new_items = {item_id: msgspec.Raw(data) for item_id, data in stored_items.items() if data is not None}
        if self._forget_count == forget_count:
            for item_id, data in new_items.items():
                self._keep(item_id, data)
        return [new_items.get(item_id, data) for item_id, data in zip(item_ids, documents, strict=True)], len(missing)

    def generation(self) -> tuple[int, float]:
        """Return a value that differs once an item may have changed: after each notice, and each `ttl_s` seconds."""
        return self._forget_count, self._clock_s() // self._ttl_s

    async def follow(self) -> None:
        """Evict items as they change, until cancelled."""
        async for item_ids in self._items.changes():
            self.forget(item_ids)

    def forget(self, item_ids: Sequence[str] | None) -> None:
        """Evict items, or all of them if None, and notify their watchers."""
        self._forget_count += 1
        if item_ids is None:
            self._entries.clear()
            self._ends.clear()
        else:
            for item_id in item_ids:
                self._entries.pop(item_id, None)
        changed_ids = None if item_ids is None else set(item_ids)
        for event, watched_ids in self._watchers.items():
            if changed_ids is None or not changed_ids.isdisjoint(watched_ids):
                event.set()

    @contextmanager
    def watching(self, event: asyncio.Event) -> Iterator[Callable[[Sequence[str]], None]]:
        """Yield a function that sets the items to watch: the event is set when one of them changes."""
        try:
            yield partial(self._watchers.__setitem__, event)
        finally:
            self._watchers.pop(event, None)

    def _keep(self, item_id: str, data: msgspec.Raw) -> None:
        if item_id not in self._entries:
            self._ends.append((self._clock_s() + self._ttl_s, item_id))
        self._entries[item_id] = data

    def _expire(self) -> None:
        now_s = self._clock_s()
        while self._ends and (self._ends[0][0] <= now_s or len(self._entries) > self._capacity):
            self._entries.pop(self._ends.popleft()[1], None)


class ItemReader(Generic[T]):
    """Parses the JSON of items, each object once: an `ItemCache` returns the same object while it is cached."""

    def __init__(self, read: Callable[[msgspec.Raw], T], *, capacity: int = 50_000) -> None:
        """Start empty.

        Args:
            read: Parses the JSON of an item.
            capacity: Number of parsed items at which all are dropped.
        """
        self._read, self._capacity = read, capacity
        self._entries: dict[str, tuple[msgspec.Raw, T]] = {}

    def read(self, item_id: str, data: msgspec.Raw) -> T:
        """Return an item's parsed JSON. It is shared between callers: do not change it.

        Args:
            item_id: The item.
            data: Its JSON.
        """
        entry = self._entries.get(item_id)
        if entry is None or entry[0] is not data:
            if len(self._entries) >= self._capacity:
                self._entries.clear()  # items in use are parsed again at once
            entry = self._entries[item_id] = data, self._read(data)
        return entry[1]
