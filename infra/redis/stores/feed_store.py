"""Store of ranked feeds: `feed:{user_id}` in Redis, or memory. A feed is replaced by a newer one only.

A feed holds several orders; the one that is shown at a time is looked up, and nothing is ranked.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar, cast
from urllib.parse import quote

from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from domain.timestamp import DAY_S
from infra.redis.coalescer import Coalescer
from infra.redis.connection import store_errors
from infra.redis.key_changes import SIGN_OF_LIFE_S, OnChange, follow_keys
from infra.redis.stores.feed_codec import VERSION_CHARS, pack, unpack, version_order
from infra.redis.stores.feed_pubsub import CHANNEL, Fanout, RedisChanges
from schemas.types import Feed, FeedItems, FeedOrder, Trigger

DEFAULT_FEED = "~everyone"
"""User id of the default feed, for users without their own."""
RERANKED = "~reranked:"
"""Prefix of the ids of re-ranked lists: `~reranked:{event_id}:{user_id}`, with the event's id URL-quoted, since it may
contain colons."""
RERANKED_TTL_S = 60
KEY = "feed:"
_CHUNK = 50
"""Feeds per run of the script, which blocks Redis for about 0.2 ms."""
T = TypeVar("T")
_Call = tuple[int | str | bytes, ...]

# KEYS: the feeds' keys. ARGV: seconds to live (0: forever), then the packed feeds.
_REPLACE_OLDER = f"""
local seconds = tonumber(ARGV[1])
local replaced = 0
for i, key in ipairs(KEYS) do
  local feed = ARGV[i + 1]
  local version = string.sub(feed, 1, {VERSION_CHARS})
  if redis.call('GETRANGE', key, 0, {VERSION_CHARS - 1}) < version then
    if seconds > 0 then
      redis.call('SET', key, feed, 'EX', seconds)
    else
      redis.call('SET', key, feed)
    end
    redis.call('PUBLISH', '{CHANNEL}' .. string.sub(key, {len(KEY) + 1}), version)
    replaced = replaced + 1
  end
end
return replaced
"""
_SHA = hashlib.sha1(_REPLACE_OLDER.encode()).hexdigest()  # noqa: S324 - the name Redis gives a script


def reranked(trigger: Trigger) -> str:
    """Return the id of the feed with the result of a re-rank."""
    return f"{RERANKED}{quote(trigger.event_id, safe='')}:{trigger.user_id}"


class FeedStore(Protocol):
    """Ranked feeds by user. Feeds are ordered by (features_version, generated_at); writing one twice has no effect."""

    async def write(self, feeds: Sequence[Feed]) -> int:
        """Store feeds that are newer than the stored ones, notify their listeners, and return the number of these.

        Raises:
            StoreError: the store does not answer; some feeds may have been written, and a retry is harmless.
        """
        ...

    async def read(self, user_ids: Sequence[str]) -> list[Feed | None]:
        """Return the users' feeds, None for missing ones.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def read_packed(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the users' feeds as `feed_codec` packs them, None for missing ones.

        Raises:
            StoreError: the store does not answer.
        """
        ...

    async def follow(self, on_change: OnChange) -> None:
        """Report the users whose feeds change in any way, until cancelled.

        Raises:
            StoreError: changes can no longer be reported.
        """
        ...

    def listen(self, user_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """Yield an event that is set when the user's feed is replaced; clear it, then read the feed.

        Notifications can be lost while the store is unavailable: also poll from time to time.
        """
        ...

    async def close(self) -> None:
        """Stop notifications; the caller keeps ownership of the client."""
        ...


class MemoryFeedStore:
    """Feeds in memory, encoded as in Redis."""

    def __init__(self) -> None:
        self._feeds: dict[str, bytes] = {}
        self._followers: list[OnChange] = []
        self.fanout = Fanout()

    async def write(self, feeds: Sequence[Feed]) -> int:
        """Store newer feeds."""
        replaced_ids = []
        for feed in feeds:
            if self._feeds.get(feed.user_id, b"")[:VERSION_CHARS] < version_order(feed):
                self._feeds[feed.user_id] = pack(feed)
                replaced_ids.append(feed.user_id)
        for on_change in self._followers:
            on_change(replaced_ids)
        self.fanout.notify(replaced_ids)
        return len(replaced_ids)

    async def read(self, user_ids: Sequence[str]) -> list[Feed | None]:
        """Return the users' feeds."""
        return _unpacked(user_ids, await self.read_packed(user_ids))

    async def read_packed(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the users' packed feeds."""
        return [self._feeds.get(user_id) for user_id in user_ids]

    async def follow(self, on_change: OnChange) -> None:
        """Report each write at once, and a sign of life in between."""
        self._followers.append(on_change)
        try:
            on_change(None)
            while True:
                await asyncio.sleep(SIGN_OF_LIFE_S)
                on_change([])
        finally:
            self._followers.remove(on_change)

    @asynccontextmanager
    async def listen(self, user_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set when the user's feed is replaced."""
        event = self.fanout.add(user_id)
        try:
            yield event
        finally:
            self.fanout.discard(user_id, event)

    async def close(self) -> None:
        """Do nothing: there is no connection."""


class RedisFeedStore:
    """Feeds in Redis: writes in one pipeline, reads of one event loop tick in one MGET."""

    def __init__(self, redis: Redis, *, ttl_days: float = 0.0) -> None:
        """Create a store.

        Args:
            redis: The client.
            ttl_days: Time after which a feed that is not replaced expires, in days; 0 for never.
        """
        self._redis = redis
        self._ttl_s = round(ttl_days * DAY_S)
        self._reads: Coalescer[bytes | None] = Coalescer(self._fetch)
        self._changes = RedisChanges(redis)

    async def write(self, feeds: Sequence[Feed]) -> int:
        """Store newer feeds, `_CHUNK` per run of the script."""
        chunks = [feeds[start : start + _CHUNK] for start in range(0, len(feeds), _CHUNK)]
        calls: list[_Call] = [
            (len(chunk), *(KEY + feed.user_id for feed in chunk), self._ttl_s, *(pack(feed) for feed in chunk))
            for chunk in chunks
        ]
        with store_errors("writing feeds"):
            replaced_count, retry_calls = await self._run(calls)
            if retry_calls:  # Redis was restarted, or never loaded the script
                await self._redis.script_load(_REPLACE_OLDER)
                more, _ = await self._run(retry_calls, raise_on_error=True)
                replaced_count += more
        return replaced_count

    async def _run(self, calls: list[_Call], *, raise_on_error: bool = False) -> tuple[int, list[_Call]]:
        """Return the number of replaced feeds, and the calls that failed because the script is not loaded."""
        if not calls:
            return 0, []
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.execute_command("EVALSHA", _SHA, *call)
        answers = await pipeline.execute(raise_on_error=raise_on_error)
        replaced_count, retry_calls = 0, []
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, NoScriptError):
                retry_calls.append(call)
            elif isinstance(answer, Exception):
                raise answer
            else:
                replaced_count += int(answer)
        return replaced_count, retry_calls

    async def read(self, user_ids: Sequence[str]) -> list[Feed | None]:
        """Return the users' feeds."""
        return _unpacked(user_ids, await self.read_packed(user_ids))

    async def read_packed(self, user_ids: Sequence[str]) -> list[bytes | None]:
        """Return the users' packed feeds."""
        return await self._reads.read(user_ids)

    async def _fetch(self, user_ids: Sequence[str]) -> list[bytes | None]:
        with store_errors("reading feeds"):
            payloads = await self._redis.mget([KEY + user_id for user_id in user_ids])
        return cast("list[bytes | None]", payloads)  # the client does not decode

    async def follow(self, on_change: OnChange) -> None:
        """Report the users whose keys change, by Redis' own notices."""
        await follow_keys(self._redis, KEY, on_change)

    def listen(self, user_id: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """Yield an event that is set when the user's feed is replaced."""
        return self._changes.listen(user_id)

    async def close(self) -> None:
        """Stop notifications."""
        await self._changes.close()


def _unpacked(user_ids: Sequence[str], payloads: Sequence[bytes | None]) -> list[Feed | None]:
    return [None if data is None else unpack(user_id, data) for user_id, data in zip(user_ids, payloads, strict=True)]


def contributions(feed: Feed, index: int) -> dict[str, float]:
    """Return the contributions to the score of an item, by feature group, without those that are 0.

    Args:
        feed: The feed.
        index: The index of the item in it.
    """
    return {group: values[index] for group, values in feed.parts.items() if values[index]}


def has_surface(feed: Feed, surface: str) -> bool:
    """Return whether a feed has orders of a surface.

    Args:
        feed: A stored feed.
        surface: The surface.
    """
    return any(order.surface == surface for order in feed.orders)


def feed_at(feed: Feed, at_ms: int, *, surface: str = "") -> Feed:
    """Return a feed as it is shown at a time: its columns in the last order whose `from_ms` has passed.

    Args:
        feed: A stored feed.
        at_ms: The time at which the feed is read, in ms since the epoch.
        surface: The surface whose orders count, if the feed has any; empty for the feed of all kinds.

    >>> feed = Feed(user_id="ann", features_version=1, generated_at=0, watermark=0, model="m", items=["a", "b"],
    ...             scores=[0.9, 0.8], sources=["popular"] * 2, reasons=["Popular"] * 2,
    ...             orders=[FeedOrder(from_ms=60_000, indices=[1, 0])])
    >>> feed_at(feed, 59_999).items, feed_at(feed, 60_000).items
    (['a', 'b'], ['b', 'a'])
    """
    away_ms = max(at_ms - feed.watermark, 0)
    name = surface if has_surface(feed, surface) else ""
    orders = [order for order in feed.orders if order.surface == name and order.from_ms <= away_ms]
    return _in_order(feed, orders[-1], feed.others) if orders else feed


def shown_feed(feed: Feed, at_ms: int, *, surface: str = "") -> Feed:
    """Return a stored feed as it is shown at a time, as `feed_at`; the default feed has no reader who could come back.

    Args:
        feed: A user's stored feed, or the default feed.
        at_ms: The time at which the feed is read, in ms since the epoch.
        surface: The surface whose orders count, if the feed has any; empty for the feed of all kinds.
    """
    return feed_at(feed, feed.watermark if feed.user_id == DEFAULT_FEED else at_ms, surface=surface)


def _by_place(propensities: list[float], count: int) -> list[float]:
    """Return the propensities of an order: places have the same in all orders, and those beyond them have 1.

    Args:
        propensities: Those of the first order; empty without exploration.
        count: Number of places.
    """
    return [*propensities[:count], *[1.0] * (count - len(propensities))] if propensities else []


def _in_order(feed: Feed, order: FeedOrder, others: FeedItems | None) -> Feed:
    def column(own: list[T], further: Sequence[T]) -> list[T]:
        """Return the values of a column in the order.

        Args:
            own: Values of the items of the feed.
            further: Values of the other items.
        """
        values = [*own, *further]
        return [values[index] for index in order.indices]

    none: list[float] = []
    return structs.replace(
        feed,
        items=column(feed.items, others.items if others else ()),
        scores=column(feed.scores, others.scores if others else ()),
        sources=column(feed.sources, others.sources if others else ()),
        reasons=column(feed.reasons, others.reasons if others else ()),
        parts={
            name: column(values, others.parts.get(name, none) if others else ()) for name, values in feed.parts.items()
        },
        ml_scores=column(feed.ml_scores, others.ml_scores if others else ()) if feed.ml_scores else none,
        propensities=none if order.surface else _by_place(feed.propensities, len(order.indices)),
        policy="" if order.surface else feed.policy,
        trailing=0 if order.surface else feed.trailing,
        others=None,
        orders=[],
    )
