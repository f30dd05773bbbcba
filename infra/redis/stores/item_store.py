"""The catalogue as the API shows it: each item's JSON, ready to be embedded, at `item:{item_id}`."""

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
"""Where the ids of items are told that were written or deleted."""
_RETRY_S = 1.0
_encoder = msgspec.json.Encoder()
_changed, _ids = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(list[str])


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

    def changes(self) -> AsyncIterator[Sequence[str] | None]:
        """Yield the ids of items as they are written and deleted, for ever; None where some may have gone unheard."""
        ...


class MemoryItemStore:
    """Items of one process."""

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
        """Yield None for what was before, then the ids of items as they change."""
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
    """Items in Redis: a write is one MSET, the reads of a loop tick are one MGET, and each change is published."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reads: Coalescer[bytes | None] = Coalescer(self._fetch)

    async def write(self, items: Sequence[Item]) -> None:
        """Store items."""
        if items:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.mset({KEY + item.item_id: _encoder.encode(item) for item in items})
            pipeline.publish(CHANNEL, _changed.encode([item.item_id for item in items]))
            with store_errors("writing items"):
                await pipeline.execute()

    async def delete(self, item_ids: Sequence[str]) -> None:
        """Remove items."""
        if item_ids:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.delete(*(KEY + item_id for item_id in item_ids))
            pipeline.publish(CHANNEL, _changed.encode(item_ids))
            with store_errors("deleting items"):
                await pipeline.execute()

    async def read(self, item_ids: Sequence[str]) -> list[bytes | None]:
        """Return the items' JSON."""
        return await self._reads.read(item_ids)

    async def changes(self) -> AsyncIterator[Sequence[str] | None]:
        """Yield the ids of items as they change, and None whenever the connection was made anew.

        The client reconnects by itself, and subscribes again: of that, a message tells as of the first time.
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
        return cast("list[bytes | None]", documents)  # the client was not asked to decode


def _decoded_ids(data: bytes) -> list[str] | None:
    """Return the ids of a message; None for one that is not ours to read."""
    try:
        return _ids.decode(data)
    except msgspec.DecodeError:
        return None


class ItemCache:
    """Keeps the JSON of items for a short while, so that a feed costs one read and not fifty.

    While `follow` runs, a changed item is forgotten at once; otherwise it shows after at most `ttl_s`. What is missing
    is not remembered, so that a new item shows at once. When `capacity` is reached the oldest entries go.
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
        """When each entry goes, soonest first, so that a look-up needs no look at the clock."""
        self._forgotten = 0
        """How many times entries were forgotten: what was being read meanwhile may be old."""
        self._watchers: dict[asyncio.Event, Sequence[str]] = {}

    async def read(self, item_ids: Sequence[str]) -> tuple[list[msgspec.Raw | None], int]:
        """Return the items' JSON, None where there is none, and how many were not in the cache.

        Raises:
            StoreError: some were not in the cache and the store did not answer.
        """
        self._expire()
        documents: list[msgspec.Raw | None] = list(map(self._entries.get, item_ids))
        if None not in documents:
            return documents, 0
        missing = [item_id for item_id, data in zip(item_ids, documents, strict=True) if data is None]
        forgotten = self._forgotten
        stored = dict(zip(missing, await self._items.read(missing), strict=True))
        fetched = {item_id: msgspec.Raw(data) for item_id, data in stored.items() if data is not None}
        if self._forgotten == forgotten:
            for item_id, data in fetched.items():
                self._keep(item_id, data)
        return [fetched.get(item_id, data) for item_id, data in zip(item_ids, documents, strict=True)], len(missing)

    async def follow(self) -> None:
        """Forget items as they change, until cancelled."""
        async for item_ids in self._items.changes():
            self.forget(item_ids)

    def forget(self, item_ids: Sequence[str] | None) -> None:
        """Forget items, or all of them, and tell who watches one of them."""
        self._forgotten += 1
        if item_ids is None:
            self._entries.clear()
            self._ends.clear()
        else:
            for item_id in item_ids:
                self._entries.pop(item_id, None)
        changed = None if item_ids is None else set(item_ids)
        for event, watched in self._watchers.items():
            if changed is None or not changed.isdisjoint(watched):
                event.set()

    @contextmanager
    def watching(self, event: asyncio.Event) -> Iterator[Callable[[Sequence[str]], None]]:
        """Yield what is told which items to watch: from then on the event is set when one of them changes."""
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
    """Reads the JSON of items: each once for as long as it is the same object, as while an `ItemCache` keeps it."""

    def __init__(self, read: Callable[[msgspec.Raw], T], *, capacity: int = 50_000) -> None:
        self._read, self._capacity = read, capacity
        self._entries: dict[str, tuple[msgspec.Raw, T]] = {}

    def read(self, item_id: str, data: msgspec.Raw) -> T:
        """Return what an item's JSON was read as; it is shared, do not change it."""
        entry = self._entries.get(item_id)
        if entry is None or entry[0] is not data:
            if len(self._entries) >= self._capacity:
                self._entries.clear()  # what is shown comes back at once
            entry = self._entries[item_id] = data, self._read(data)
        return entry[1]
