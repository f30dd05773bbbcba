"""Notification of listeners when a user's feed is replaced.

A notification is a hint to read the feed. A notification that is lost while Redis is unavailable only delays a
listener, as long as the listener also polls from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

CHANNEL = "feeds:"
"""Prefix of the channels, followed by the user id."""
_ANCHOR = f"{CHANNEL}~"
"""An unused channel, whose subscription keeps the connection open while there are no listeners."""
_RETRY_S = 1.0


class Fanout:
    """Events by user id: set when the user's feed is replaced, cleared by the listener."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[asyncio.Event]] = {}

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._listeners

    def __iter__(self) -> Any:
        return iter(self._listeners)

    def add(self, user_id: str) -> asyncio.Event:
        """Return the event of a new listener."""
        event = asyncio.Event()
        self._listeners.setdefault(user_id, set()).add(event)
        return event

    def discard(self, user_id: str, event: asyncio.Event) -> None:
        """Remove a listener.

        Args:
            user_id: The user of the feed.
            event: Event of the listener.
        """
        events = self._listeners.get(user_id, set())
        events.discard(event)
        if not events:
            self._listeners.pop(user_id, None)

    def notify(self, user_ids: Iterable[str]) -> None:
        """Wake the listeners of users."""
        for user_id in user_ids:
            for event in self._listeners.get(user_id, ()):
                event.set()


class RedisChanges:
    """Notifications for all listeners over one Redis connection, which is opened for the first listener."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._fanout = Fanout()
        self._lock = asyncio.Lock()
        self._pubsub: Any = None
        self._subscriptions: set[str] = set()
        self._reader: asyncio.Task[None] | None = None
        self._aligning: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listen(self, user_id: str) -> AsyncIterator[asyncio.Event]:
        """Yield an event that is set each time the user's feed is replaced."""
        event = self._fanout.add(user_id)
        try:
            if self._reader is None:
                self._reader = asyncio.create_task(self._read())
            await self._align(user_id)
            yield event
        finally:
            self._fanout.discard(user_id, event)
            # Not awaited: this runs while the listener is being cancelled.
            task = asyncio.create_task(self._align(user_id))
            self._aligning.add(task)
            task.add_done_callback(self._aligning.discard)

    async def close(self) -> None:
        """Stop listening."""
        for task in (*self._aligning, *([self._reader] if self._reader else [])):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._reader = None

    async def _align(self, user_id: str) -> None:
        """Subscribe to this user's channel if, and only if, there are listeners."""
        async with self._lock:
            if self._pubsub is None:  # the reader subscribes to all channels when it connects
                return
            has_listeners, is_subscribed = user_id in self._fanout, user_id in self._subscriptions
            try:
                if has_listeners and not is_subscribed:
                    await self._pubsub.subscribe(CHANNEL + user_id)
                    self._subscriptions.add(user_id)
                elif is_subscribed and not has_listeners:
                    await self._pubsub.unsubscribe(CHANNEL + user_id)
                    self._subscriptions.discard(user_id)
            except (RedisError, OSError):
                self._pubsub = None
                if self._reader is not None:
                    self._reader.cancel()
                    self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    async with self._lock:
                        self._subscriptions = set(self._fanout)
                        await pubsub.subscribe(_ANCHOR, *(CHANNEL + user_id for user_id in self._subscriptions))
                        self._pubsub = pubsub
                    self._fanout.notify(self._subscriptions)  # of changes missed while disconnected
                    async for message in pubsub.listen():
                        self._fanout.notify([message["channel"].decode().removeprefix(CHANNEL)])
            self._pubsub = None
            await asyncio.sleep(_RETRY_S)
