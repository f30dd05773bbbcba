"""Server-sent event streams with limits on their number, in total and per user."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from api.context import ApiContext
from api.http.error import StreamsError, TooManyListenersError

_PING_S, _SEND_TIMEOUT_S = 15, 30


class Listeners:
    """The open streams, counted in total and per user."""

    def __init__(self, context: ApiContext) -> None:
        self._settings, self._gauge = context.settings, context.metrics.listeners
        self._count = 0
        self._by_user: Counter[str] = Counter()

    def check_limits(self, user_id: str) -> None:
        """Check that one more stream may be opened.

        Raises:
            TooManyListenersError, StreamsError
        """
        if self._count >= self._settings.api_max_listeners:
            raise TooManyListenersError(self._settings.api_max_listeners)
        if self._by_user[user_id] >= self._settings.api_max_user_listeners:
            raise StreamsError(self._settings.api_max_user_listeners)

    @contextmanager
    def counting(self, user_id: str) -> Iterator[None]:
        """Count one stream while the context is open."""
        self._add(user_id, 1)
        try:
            yield
        finally:
            self._add(user_id, -1)

    def _add(self, user_id: str, count: int) -> None:
        self._count += count
        self._by_user[user_id] += count
        if not self._by_user[user_id]:
            del self._by_user[user_id]
        self._gauge.set(self._count)


class FeedStream(EventSourceResponse):
    """A response that counts its listener from its first byte to its end."""

    def __init__(self, listeners: Listeners, user_id: str, events: AsyncIterator[ServerSentEvent]) -> None:
        super().__init__(events, ping=_PING_S, send_timeout=_SEND_TIMEOUT_S)
        self._listeners, self._user_id = listeners, user_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; a client that does not read them is cut off."""
        with self._listeners.counting(self._user_id), suppress(SendTimeoutError):
            await super().__call__(scope, receive, send)
