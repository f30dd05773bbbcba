"""Reading feeds: once, or as a stream of each new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from typing import Any

import msgspec
from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from api.context import Context
from api.endpoint import Endpoint
from api.error import CrowdedError, NoFeedError, StoreAwayError, StreamsError
from api.query import FeedQuery, asked
from api.stream import FeedStream, Listeners
from infra.feed_layout import halves, version
from infra.feed_store import EVERYONE
from infra.redis_client import StoreError
from schemas.types import Feed

_LOOK_S = 15.0
"""How often a stream looks by itself: a change that went unheard is seen by then."""


class ContentItem(msgspec.Struct, gc=False):
    """One ranked item; `item` is its JSON as the catalogue wrote it, null when it is not there any more."""

    item_id: str
    score: float
    source: str
    reason: str
    parts: Any
    item: msgspec.Raw | None


class Standing(msgspec.Struct, gc=False):
    """What a feed says of itself. Times are in ms since the epoch."""

    user_id: str
    version: str
    generated_at: int
    age_ms: int
    watermark: int
    model: str
    fallback: bool


class Content(Standing, gc=False):
    """A feed as clients see it."""

    items: list[ContentItem]


_encoder = msgspec.json.Encoder()


def content(user_id: str, feed: Feed, found: Sequence[msgspec.Raw | None], *, limit: int, now_ms: int) -> Content:
    """Return the first items of a feed, joined with their JSON."""
    parts = map(_parts(tuple(feed.parts)), *feed.parts.values()) if feed.parts else repeat({})
    columns = (feed.items[:limit], feed.scores, feed.sources, feed.reasons, parts, found)
    return Content(
        user_id=user_id,
        version=version(feed),
        generated_at=feed.generated_at,
        age_ms=max(0, now_ms - feed.generated_at),
        watermark=feed.watermark,
        model=feed.model,
        fallback=feed.user_id == EVERYONE,
        items=list(map(ContentItem, *columns)),
    )


@lru_cache(maxsize=64)
def _parts(names: tuple[str, ...]) -> Callable[..., Any]:
    """Return a type for the parts of one item, which costs a third of a dict.

    Parts that are zero are left out: msgspec does that with the very object that is the default.
    """
    fields = [(f"part_{place}", float, halves()[0]) for place, _ in enumerate(names)]
    rename = {field: name for (field, _, _), name in zip(fields, names, strict=True)}
    return msgspec.defstruct("Parts", fields, rename=rename, omit_defaults=True, gc=False)


class ContentEndpoints:
    """The endpoints that read."""

    def __init__(self, context: Context) -> None:
        self._context, self._listeners = context, Listeners(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [
            Endpoint(
                "GET",
                "/content",
                self.read,
                query=FeedQuery,
                answers={200: Content, 304: None},
                errors=(NoFeedError, StoreAwayError),
            ),
            Endpoint(
                "GET",
                "/content/stream",
                self.stream,
                query=FeedQuery,
                answers={200: "text/event-stream"},
                errors=(CrowdedError, StreamsError),
            ),
        ]

    async def read(self, request: Request) -> Response:
        """Answer with a user's feed, or everyone's when there is none; 304 when the client has it."""
        query = asked(request, FeedQuery)
        user_id, limit = query.user_id, query.limit
        feed = await self._context.feed_of(user_id)
        headers = {"ETag": f'W/"{version(feed)}"', "Cache-Control": "private, no-cache"}
        if _has(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(await self._render(user_id, feed, limit), headers=headers, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Send the feed now, unless Last-Event-ID says the client has it, and whenever it is replaced."""
        query = asked(request, FeedQuery)
        user_id, limit = query.user_id, query.limit
        self._listeners.admit(user_id)
        events = self.events(user_id, limit, request.headers.get("last-event-id"))
        return FeedStream(self._listeners, user_id, events)

    async def events(self, user_id: str, limit: int, last: str | None) -> AsyncIterator[ServerSentEvent]:
        """Yield the newest feed each time it is another than the last one sent."""
        async with self._context.clients.feeds.listen(user_id) as changed:
            while True:
                changed.clear()
                with suppress(StoreError, NoFeedError):  # the stream outlives a Redis that is away
                    feed = await self._context.feed_of(user_id)
                    if version(feed) != last:
                        data = await self._render(user_id, feed, limit)
                        last = version(feed)
                        yield ServerSentEvent(data.decode(), event="feed", id=last)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await changed.wait()

    async def _render(self, user_id: str, feed: Feed, limit: int) -> bytes:
        found = await self._context.items_of(feed, limit)
        return _encoder.encode(content(user_id, feed, found, limit=limit, now_ms=self._context.clients.now_ms()))


def _has(if_none_match: str | None, etag: str) -> bool:
    """Say whether the client's If-None-Match names this version, as RFC 9110 compares for GET: weakly."""
    if if_none_match is None:
        return False
    named = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag.removeprefix("W/") in named or named == ["*"]
