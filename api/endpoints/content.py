"""Feed endpoints: a single read, or a stream of updates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from sse_starlette import ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from api.context import RENDERED_SHARE, ApiContext
from api.endpoints.visibility import VisibleFeed
from api.feeds.compression import compressed
from api.feeds.feed_content import ContentAnswer
from api.feeds.read_query import FeedReadQuery, SurfaceQuery
from api.feeds.rendered_feed import RenderedFeed, RenderedFeeds, selected
from api.http.endpoint import Endpoint
from api.http.error import NoFeedError, StoreUnavailableError, StreamsError, TooManyListenersError
from api.http.event_streams import FeedStream, Listeners
from api.http.query import parse_query
from infra.redis.connection import StoreError

_POLL_S = 15.0
"""Polling interval of a stream: a lost notification delays an update by at most this long."""


class ContentEndpoints:
    """Endpoints that read feeds."""

    def __init__(self, context: ApiContext) -> None:
        self._context, self._listeners = context, Listeners(context)
        self._feeds = RenderedFeeds(capacity_bytes=context.cache_bytes(RENDERED_SHARE))

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/content",
                self.read,
                query=FeedReadQuery,
                answers={200: ContentAnswer, 304: None},
                errors=(NoFeedError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                "/content/stream",
                self.stream,
                query=SurfaceQuery,
                answers={200: "text/event-stream"},
                errors=(TooManyListenersError, StreamsError),
            ),
        ]

    async def read(self, request: Request) -> Response:
        """Return a user's feed, or the non-personalized feed if there is none; 304 if the client has that version."""
        query = parse_query(request, FeedReadQuery)
        offset, names, surface = query.after_offset(), query.field_names(), query.surface_of(self._context)
        feed = await self._rendered_feed(query.user_id, surface)
        if offset > feed.outline.interactions_offset:
            feed = await self._awaited_feed(query.user_id, offset, feed)
        shows = self._context.surfaces[surface].shows if query.surface and surface and not feed.has_surface else None
        visible = await feed.visible(self._context, query.limit, query.excluded_ids, accepts=query.condition(shows))
        headers = {"ETag": f'W/"{visible.version}"', "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
        reflects = None if query.after is None else feed.outline.interactions_offset >= offset
        if reflects is not False and _matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        body = self._body(query.user_id, feed, visible, reflects=reflects)
        body, coding = compressed(selected(body, names) if names else body, request.headers.get("accept-encoding"))
        if coding is not None:
            headers["Content-Encoding"] = coding
        return Response(body, headers=headers, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        """Stream a feed: now, unless Last-Event-ID names its version, and after each change of it or of its items."""
        query = parse_query(request, SurfaceQuery)
        user_id, limit, surface = query.user_id, query.limit, query.surface_of(self._context)
        self._listeners.check_limits(user_id)
        events = self.events(user_id, limit, request.headers.get("last-event-id"), surface=surface)
        return FeedStream(self._listeners, user_id, events)

    async def events(
        self, user_id: str, limit: int, last: str | None, *, surface: str = ""
    ) -> AsyncIterator[ServerSentEvent]:
        """Yield the current feed whenever its version differs from the last one sent."""
        context = self._context
        async with context.clients.feeds.listen(user_id) as change:
            with context.items.watching(change) as watch:
                while True:
                    change.clear()
                    with suppress(StoreError, NoFeedError):  # the stream survives a Redis outage
                        context.feeds.forget([user_id])  # the cache may hear of the change later than we do
                        feed = await self._rendered_feed(user_id, surface)
                        visible = await feed.visible(context, limit)
                        watch(feed.outline.items)
                        if visible.version != last:
                            last = visible.version
                            data = self._body(user_id, feed, visible)
                            yield ServerSentEvent(data.decode(), event="feed", id=last)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_S):
                            await change.wait()

    async def _rendered_feed(self, user_id: str, surface: str) -> RenderedFeed:
        owner, data = await self._context.stored_feed(user_id)
        return self._feeds.at(owner, data, self._context.clients.now_ms(), surface=surface)

    async def _awaited_feed(self, user_id: str, offset: int, feed: RenderedFeed) -> RenderedFeed:
        """Return the feed that reflects an interaction, or the present one if there is none within a moment.

        The store is read, not the cache: its notice of the feed may arrive later than the one that is waited for.

        Args:
            user_id: The user.
            offset: The offset of the interaction.
            feed: The present feed.
        """
        context = self._context
        with suppress(TimeoutError):
            async with (
                asyncio.timeout(context.settings.api_after_timeout_s),
                context.clients.feeds.listen(user_id) as change,
            ):
                while feed.outline.interactions_offset < offset:
                    change.clear()
                    [data] = await context.clients.feeds.read_packed([user_id])
                    if data is not None:
                        context.feeds.forget([user_id])  # so that no later read is older than this answer
                        feed = self._feeds.at(user_id, data, context.clients.now_ms(), surface=feed.surface)
                    if feed.outline.interactions_offset < offset:
                        await change.wait()
        return feed

    def _body(self, user_id: str, feed: RenderedFeed, visible: VisibleFeed, *, reflects: bool | None = None) -> bytes:
        self._context.audits.record_feed(feed.outline, len(visible.items))
        shown_ids = [feed.outline.items[index] for index in visible.indices]
        self._context.impressions.record(user_id, shown_ids, surface=feed.surface)
        return feed.body(user_id, visible, self._context.clients.now_ms(), reflects=reflects)


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether If-None-Match contains this version, by weak comparison (RFC 9110)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag.removeprefix("W/") in tags or tags == ["*"]
