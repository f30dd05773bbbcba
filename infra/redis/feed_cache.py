"""A cache of packed feeds in this process, which Redis tells of every change."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from cachetools import LRUCache

from infra.redis.connection import StoreError
from infra.redis.key_changes import SIGN_OF_LIFE_S
from infra.redis.stores.feed_store import FeedStore

_TRUSTED_S = 2 * SIGN_OF_LIFE_S
"""Time without any notice after which nothing is taken from the cache: the connection may be broken."""
_RETRY_S = 1.0
_OVERHEAD_BYTES = 250
"""Memory of an entry beside its feed: key, dictionaries, headers of objects."""


class FeedCache:
    """Packed feeds by user, also of users without one, the least recently read evicted first.

    A feed is served from memory from its first read until the notice that it has changed, and only while notices come:
    once the notice of a change has arrived, no answer is older than the change. Should the connection break silently,
    an answer is at most two seconds older than the store. Without notices every read goes to the store.
    """

    def __init__(self, feeds: FeedStore, *, capacity_bytes: int, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Start empty.

        Args:
            feeds: The store that is read at a miss.
            capacity_bytes: Memory for entries; with 0 nothing is kept.
            clock_s: A monotonic clock, in seconds.
        """
        self._feeds, self._capacity_bytes, self._clock_s = feeds, capacity_bytes, clock_s
        self._entries = self._empty()
        self._readings: dict[str, object] = {}
        """The newest read in flight of each missing user; a change meanwhile removes it, and its result is not kept."""
        self._heard_s = -math.inf

    async def read(self, user_ids: Sequence[str]) -> tuple[list[bytes | None], int]:
        """Return the users' packed feeds, None for missing ones, and the number of cache misses.

        Raises:
            StoreError: there was a cache miss, and the store does not answer.
        """
        if self._clock_s() - self._heard_s > _TRUSTED_S:
            return await self._feeds.read_packed(user_ids), len(user_ids)
        entries = self._entries
        missing = [user_id for user_id in user_ids if user_id not in entries]
        present = {user_id: entries[user_id] for user_id in user_ids if user_id in entries}
        if missing:
            present.update(zip(missing, await self._fetch(missing), strict=True))
        return [present[user_id] for user_id in user_ids], len(missing)

    async def _fetch(self, user_ids: Sequence[str]) -> Sequence[bytes | None]:
        reading = object()
        self._readings.update(dict.fromkeys(user_ids, reading))
        values: Sequence[bytes | None] = ()
        try:
            values = await self._feeds.read_packed(user_ids)
        finally:
            current_ids = {user_id for user_id in user_ids if self._readings.get(user_id) is reading}
            for user_id in current_ids:
                del self._readings[user_id]
        for user_id, value in zip(user_ids, values, strict=True):
            if user_id in current_ids:
                with suppress(ValueError):  # larger than the whole cache
                    self._entries[user_id] = value
        return values

    async def follow(self) -> None:
        """Keep feeds while the store reports their changes, until cancelled; with no room for any, return at once."""
        while self._capacity_bytes:
            with suppress(StoreError):
                await self._feeds.follow(self._notice)
            self.forget(None)
            self._heard_s = -math.inf
            await asyncio.sleep(_RETRY_S)

    def _notice(self, user_ids: Sequence[str] | None) -> None:
        self._heard_s = self._clock_s()
        self.forget(user_ids)

    def forget(self, user_ids: Sequence[str] | None) -> None:
        """Evict feeds, or all of them if None."""
        if user_ids is None:
            self._entries = self._empty()
            self._readings.clear()
            return
        for user_id in user_ids:
            self._entries.pop(user_id, None)
            self._readings.pop(user_id, None)

    def _empty(self) -> LRUCache[str, bytes | None]:
        return LRUCache(self._capacity_bytes, getsizeof=lambda data: len(data or b"") + _OVERHEAD_BYTES)
