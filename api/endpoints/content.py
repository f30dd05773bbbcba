"""Feed endpoints: a single read, or a stream of updates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from operator import itemgetter
from typing import Any

import msgspec
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.visibility import VisibleFeed
from api.http.endpoint import Endpoint
from api.http.error import NoFeedError, StoreUnavailableError, StreamsError, TooManyListenersError
from api.http.event_streams import FeedStream, Listeners
from api.http.query import FeedQuery, parse_query
from infra.redis.connection import StoreError
from infra.redis.stores.feed_codec import float16_table
from infra.redis.stores.feed_store import DEFAULT_FEED

_POLL_S = 15.0
"""Polling interval of a stream: a lost notification delays an update by at most this long."""


class ContentItem(msgspec.Struct, gc=False):
    """One ranked item; `item` is its catalog JSON, null for a given candidate that is not in the catalog."""

    item_id: str
    score: float
    source: str
    reason: str
    parts: Any
    item: msgspec.Raw | None


class FeedMetadata(msgspec.Struct, gc=False):
    """Feed metadata; the version changes with every field except the age. Times are in ms since the epoch."""

    user_id: str
    version: str
    generated_at: int
    age_ms: int
    watermark: int
    model: str
    fallback: bool


class FeedContent(FeedMetadata, gc=False):
    """A feed as returned to clients."""

    items: list[ContentItem]


_encoder = msgspec.json.Encoder()


def content(user_id: str, visible: VisibleFeed, *, now_ms: int) -> FeedContent:
    """Return the served items of a feed, joined with their catalog JSON.

    Args:
        user_id: The user who requested the feed.
        visible: The feed, and the indices and JSON of its served items.
        now_ms: The present time, in ms since the epoch.
    """
    feed, pick = visible.feed, _picker(visible.indices)
    parts = map(_parts(tuple(feed.parts)), *map(pick, feed.parts.values())) if feed.parts else repeat({})
    columns = (pick(feed.items), pick(feed.scores), pick(feed.sources), pick(feed.reasons), parts, visible.items)
    return FeedContent(
        user_id=user_id,
        version=visible.version,
        generated_at=feed.generated_at,
        age_ms=max(0, now_ms - feed.generated_at),
        watermark=feed.watermark,
        model=feed.model,
        fallback=feed.user_id == DEFAULT_FEED,
        items=list(map(ContentItem, *columns)),
    )


def _picker(indices: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that selects the values at some indices, which are ascending, from a column."""
    count = len(indices)
    if not count or indices[-1] == count - 1:
        return itemgetter(slice(count))
    return lambda column: [column[index] for index in indices]


@lru_cache(maxsize=64)
def _parts(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a type for the score contributions of one item; it costs a third of a dict.

    Zeros are omitted: msgspec omits a value that is the identical object as the field's default.
    """
    fields = [(f"part_{index}", float, float16_table()[0]) for index, _ in enumerate(names)]
    rename = {field: name for (field, _, _), name in zip(fields, names, strict=True)}
    return msgspec.defstruct("Parts", fields, rename=rename, omit_defaults=True, gc=False)


class ContentEndpoints:
    """Endpoints that read feeds."""

    def __init__(self, context: ApiContext) -> None:
        self._context, self._listeners = context, Listeners(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/content",
                self.read,
                query=FeedQuery,
                answers={200: FeedContent, 304: None},
                errors=(NoFeedError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                "/content/stream",
                self.stream,
                query=FeedQuery,
                answers={200: "text/event-stream"},
                errors=(TooManyListenersError, StreamsError),
            ),
        ]

    async def read(self, request: Request) -> Response:
        """Return a user's feed, or the non-personalized feed if there is none; 304 if the client has that version."""
        query = parse_query(request, FeedQuery)
        user_id, limit = query.user_id, query.limit
        feed = await self._context.feed_of(user_id)
        visible = await self._context.visible_feed(feed, limit)
        headers = {"ETag": f'W/"{visible.version}"', "Cache-Control": "private, no-cache"}
        if _matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(self._render(user_id, visible), headers=headers, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Stream a feed: now, unless Last-Event-ID names its version, and after each change of it or of its items."""
        query = parse_query(request, FeedQuery)
        user_id, limit = query.user_id, query.limit
        self._listeners.check_limits(user_id)
        events = self.events(user_id, limit, request.headers.get("last-event-id"))
        return FeedStream(self._listeners, user_id, events)

    async def events(self, user_id: str, limit: int, last: str | None) -> AsyncIterator[ServerSentEvent]:
        """Yield the current feed whenever its version differs from the last one sent."""
        context = self._context
        async with context.clients.feeds.listen(user_id) as change:
            with context.items.watching(change) as watch:
                while True:
                    change.clear()
                    with suppress(StoreError, NoFeedError):  # the stream survives a Redis outage
                        feed = await context.feed_of(user_id)
                        visible = await context.visible_feed(feed, limit)
                        watch(feed.items)
                        if visible.version != last:
                            last = visible.version
                            data = self._render(user_id, visible)
                            yield ServerSentEvent(data.decode(), event="feed", id=last)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_S):
                            await change.wait()

    def _render(self, user_id: str, visible: VisibleFeed) -> bytes:
        self._context.audits.record_feed(visible.feed, len(visible.items))
        return _encoder.encode(content(user_id, visible, now_ms=self._context.clients.now_ms()))


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether If-None-Match contains this version, by weak comparison (RFC 9110)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag.removeprefix("W/") in tags or tags == ["*"]
