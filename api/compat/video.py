"""The video engine contract: paged feeds of posts, trending and similar posts, and interactions with posts.

A post is a catalog item whose id is `post-` and the post's number. A feed consists of the posts of the user's own feed
that match the filters; if they do not suffice, a worker ranks them together with more of the catalog. Users of fewer
interactions than `COLD_START_THRESHOLD` see the popular posts, or those of a mood, instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.event_body import InteractionBody
from api.endpoints.rerank import ranked
from api.http.body import new_id, parse_body
from api.http.endpoint import Endpoint
from api.http.error import (
    ApiError,
    BrokerUnavailableError,
    InvalidError,
    NoFeedError,
    NoItemError,
    StoreUnavailableError,
)
from api.http.paging import Cursor, PagedList, PagedRanking, Rank, page_of, paged_list
from api.http.query import Name, parse_query, validate_user_id
from api.http.response import json_response
from domain.mood import words_of
from domain.nearby import UNKNOWN_LOCATION, GeoLocation, geo_location
from domain.post import POST_PREFIX, post_item_id
from infra.postgres.catalog_filter import CatalogFilter
from infra.redis.connection import StoreError
from infra.redis.stores.chart_store import CHART_ITEMS, trend_score
from infra.redis.stores.feed_store import DEFAULT_FEED
from infra.redis.stores.page_store import PageEntry
from schemas.limit import ID_CHARS
from schemas.types import Feed, Item, Trigger
from topics.topic import INTERACTIONS

_BODY_BYTES = 16 << 10
_SURFACE = "video"
"""The surface of the video engine, where SURFACES has it."""
_NUMBER_DIGITS = 16

Username = Annotated[str, Meta(min_length=1, max_length=ID_CHARS, description="The user's name.", examples=["user123"])]
PageNumber = Annotated[int, Meta(ge=1, le=1_000, description="The page number; 1 is the first.")]
PageSize = Annotated[int, Meta(ge=1, le=1_000, description="Posts per page, at most MAX_RECOMMENDATIONS.")]


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The page number and size."""

    page: PageNumber = 1
    page_size: PageSize = 20
    cursor: Cursor | None = None


class TrendingQuery(PageQuery, frozen=True, kw_only=True):
    """Trending posts, overall or in a category."""

    category: Name | None = None


class SimilarQuery(PageQuery, frozen=True, kw_only=True):
    """An optional user, whose recent items are excluded."""

    username: Username | None = None


class VideoFeedQuery(PageQuery, frozen=True, kw_only=True):
    """A user's feed, with filters."""

    username: Username
    project_code: Name | None = None
    mood: Name | None = None
    category: Name | None = None

    def catalog_filter(self) -> CatalogFilter:
        """Return the filters as a catalog filter."""
        words = words_of(self.mood) if self.mood is not None else ()
        return CatalogFilter(prefix=POST_PREFIX, category=self.category, project_code=self.project_code, words=words)


class CategoryFeedQuery(PageQuery, frozen=True, kw_only=True):
    """A user's feed in one category."""

    username: Username
    project_code: Name


class PostInteractionBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/v1/interaction; the value is a rating (0 to RATING_SCALE) for rate, the watched fraction for view."""

    username: Username
    post_id: Annotated[int, Meta(ge=0, le=2**53)]
    interaction_type: Literal[
        "view", "click", "like", "dislike", "inspire", "inspired", "rate", "rating", "share", "save", "skip", "hide"
    ]
    interaction_value: float | None = None
    event_id: str | None = None


class VideoPost(msgspec.Struct):
    """A post of the catalog."""

    post_id: int
    title: str
    category: str
    topics: list[str]
    project_code: str | None
    username: str
    """The post's author."""
    video_url: str | None
    thumbnail_url: str | None
    created_at: int
    score: float
    reason: str


class VideoPosts(msgspec.Struct):
    """A page of posts, best first; `total` is the number on all pages as far as it is known.

    With `cursor` further pages repeat no post, even if the same list is paged through elsewhere at the same time.
    """

    status: str
    page: int
    page_size: int
    total: int
    has_next: bool
    cursor: str | None
    posts: list[VideoPost]


class VideoFeed(VideoPosts, kw_only=True):
    """A page of a user's feed, with its strategy: personal, or for new users mood or popular."""

    username: str
    strategy: str


class VideoInteractionAccepted(msgspec.Struct):
    """The interaction was published."""

    status: str
    message: str
    event_id: str


_interaction = msgspec.json.Decoder(PostInteractionBody)
_NAMES = {"inspire": "inspired", "rating": "rate"}
_INTERACTION = {"username": "user123", "post_id": 1234, "interaction_type": "like", "interaction_value": 1.0}


class VideoEndpoints:
    """Endpoints of the video engine contract."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/api/v1/feed",
                self.feed,
                query=VideoFeedQuery,
                answers={200: VideoFeed},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "GET",
                "/api/v1/feed/category",
                self.category,
                query=CategoryFeedQuery,
                answers={200: VideoFeed},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "GET",
                "/api/v1/trending",
                self.trending,
                query=TrendingQuery,
                answers={200: VideoPosts},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "GET",
                "/api/v1/similar/{post_id}",
                self.similar,
                query=SimilarQuery,
                answers={200: VideoPosts},
                errors=(NoItemError, StoreUnavailableError),
            ),
            Endpoint(
                "POST",
                "/api/v1/interaction",
                self.interaction,
                body=PostInteractionBody,
                example=_INTERACTION,
                answers={200: VideoInteractionAccepted},
                errors=(BrokerUnavailableError,),
            ),
        ]

    async def feed(self, request: Request) -> Response:
        """Return a page of a user's feed."""
        query = parse_query(request, VideoFeedQuery)
        filters = query.project_code, query.mood, query.category
        page_list = paged_list(request, *filters, user_id=query.username)
        return json_response(
            await self._feed(query.username, query.catalog_filter(), query, page_list, mood=query.mood)
        )

    async def category(self, request: Request) -> Response:
        """Return a page of a user's feed in one category."""
        query = parse_query(request, CategoryFeedQuery)
        catalog_filter = CatalogFilter(prefix=POST_PREFIX, project_code=query.project_code)
        page_list = paged_list(request, query.project_code, user_id=query.username)
        return json_response(await self._feed(query.username, catalog_filter, query, page_list))

    async def trending(self, request: Request) -> Response:
        """Return a page of the trending posts."""
        query = parse_query(request, TrendingQuery)
        catalog_filter = CatalogFilter(prefix=POST_PREFIX, category=query.category)
        entries = await self._trending_entries(catalog_filter, UNKNOWN_LOCATION)
        return json_response(
            VideoPosts(**await self._page(paged_list(request, query.category), query, _whole(entries)))
        )

    async def similar(self, request: Request) -> Response:
        """Return a page of the posts similar to a post: watched by the same people, or with a similar text."""
        query, post_id = parse_query(request, SimilarQuery), request.path_params["post_id"]
        if not (post_id.isascii() and post_id.isdecimal() and len(post_id) <= _NUMBER_DIGITS):
            raise InvalidError("post_id", f"must be a whole number of {_NUMBER_DIGITS} digits at most")
        settings, item_id = self._context.settings, post_item_id(int(post_id))
        post = (await self._context.catalog_items([item_id])).get(item_id)
        if post is None:
            raise NoItemError(item_id)
        excluded_ids, user = set[str](), geo_location(post.cell, post.city)
        if query.username is not None:
            user = await self._context.location_of(query.username)
            excluded_ids = await self._recent_item_ids(query.username)
        pairs = await self._context.clients.catalog_listing.similar(
            item_id, prefix=POST_PREFIX, min_similarity=settings.similarity_threshold, limit=settings.api_max_candidates
        )
        similarity = {item: score for item, score in pairs if item not in excluded_ids}
        items = await self._context.visible_items(list(similarity), user)
        entries = [PageEntry(name, round(similarity[name], 4), "Like the post") for name in items]
        page_list = paged_list(request, item_id, user_id=query.username)
        return json_response(VideoPosts(**await self._page(page_list, query, _whole(entries))))

    async def interaction(self, request: Request) -> Response:
        """Publish an interaction with a post."""
        now_ms = self._context.clients.now_ms()
        body = await parse_body(request, _interaction, _BODY_BYTES)
        event = InteractionBody(
            user_id=body.username,
            event_id=body.event_id,
            action=_NAMES.get(body.interaction_type, body.interaction_type),  # type: ignore[arg-type]
            item_id=post_item_id(body.post_id),
            value=body.interaction_value,
        ).record(now_ms)
        await self._context.publish(INTERACTIONS, [event])
        return json_response(VideoInteractionAccepted("success", "Interaction recorded", event.event_id))

    async def _feed(
        self,
        username: str,
        catalog_filter: CatalogFilter,
        query: PageQuery,
        page_list: PagedList,
        *,
        mood: str | None = None,
    ) -> VideoFeed:
        validate_user_id(username)
        entry_count = min(query.page * self._page_size(query) + 1, self._context.settings.api_max_candidates)

        inferred_profile, _ = await self._context.clients.user_profiles.read(username)
        event_count = 0 if inferred_profile is None else inferred_profile.event_count
        is_new = event_count < self._context.settings.cold_start_threshold

        async def rank(shown_ids: Collection[str], at_ms: int) -> PagedRanking:
            if is_new:
                rest = await self._popular_entries(
                    username, catalog_filter, shown_ids, count=entry_count - len(shown_ids)
                )
                self._context.audits.record_feed(_popular_feed(rest, self._context.clients.now_ms()), len(rest))
                return PagedRanking(rest, len(shown_ids) + len(rest))
            entries = await self._own_entries(username, catalog_filter, at_ms)
            rest = [entry for entry in entries if entry.item_id not in shown_ids]
            if len(shown_ids) + len(rest) < entry_count:
                rest = await self._extended(rest, username, catalog_filter, shown_ids)
            return PagedRanking(rest, len(shown_ids) + len(rest))

        page = await self._page(page_list, query, rank)
        strategy = "personal" if not is_new else "popular" if mood is None else "mood"
        return VideoFeed(**page, username=username, strategy=strategy)

    async def _own_entries(self, username: str, catalog_filter: CatalogFilter, at_ms: int) -> list[PageEntry]:
        """Return the matching entries of a user's feed as it is shown at a time, or of the non-personalized feed."""
        try:
            feed = await self._context.feed_of(username, at_ms=at_ms, surface=_SURFACE)
        except NoFeedError:
            return []
        return await self._entries(feed, catalog_filter)

    async def _trending_entries(self, catalog_filter: CatalogFilter, user: GeoLocation) -> list[PageEntry]:
        """Return the trending posts that match and are visible, with the decayed weight of what users did with them."""
        now_ms, rate = self._context.clients.now_ms(), self._context.settings.trending_decay_rate
        charts, category = self._context.clients.charts, catalog_filter.category
        trends = await charts.read(category, limit=CHART_ITEMS)
        if not trends and category is not None:  # a category in another case has no chart of its own
            trends = await charts.read(None, limit=CHART_ITEMS)
        items = await self._context.visible_items(list(trends), user)
        return [
            PageEntry(name, round(trend_score(trends[name], now_ms=now_ms, decay_rate=rate), 6), "Trending now")
            for name, item in items.items()
            if catalog_filter.matches(item)
        ]

    async def _newest_entries(self, catalog_filter: CatalogFilter, user: GeoLocation) -> list[PageEntry]:
        """Return the newest posts that match and are visible, without a score."""
        newest = await self._context.clients.catalog_listing.find(
            catalog_filter, limit=self._context.settings.api_max_candidates
        )
        return [PageEntry(name, 0.0, "New") for name in await self._context.visible_items(newest, user)]

    async def _popular_entries(
        self, username: str, catalog_filter: CatalogFilter, shown_ids: Collection[str], *, count: int
    ) -> list[PageEntry]:
        """Return the matching posts that a user has not acted on: trending ones, and if they are few the newest.

        Args:
            username: The user.
            catalog_filter: What the posts must match.
            shown_ids: Ids of posts to leave out.
            count: Number of trending posts that suffice.
        """
        user, hidden_ids = await self._context.location_of(username), {*shown_ids}
        hidden_ids |= await self._recent_item_ids(username)
        trending = await self._trending_entries(catalog_filter, user)
        entries = [entry for entry in trending if entry.item_id not in hidden_ids]
        if len(entries) < count:
            hidden_ids |= {entry.item_id for entry in entries}
            with suppress(StoreError):
                newest = await self._newest_entries(catalog_filter, user)
                entries += [entry for entry in newest if entry.item_id not in hidden_ids]
        return entries

    async def _extended(
        self, entries: list[PageEntry], username: str, catalog_filter: CatalogFilter, shown_ids: Collection[str]
    ) -> list[PageEntry]:
        """Return entries and more posts of the catalog, all ranked by a worker; `entries` if that fails or is late."""
        clients, most = self._context.clients, self._context.settings.api_max_candidates
        with suppress(ApiError, StoreError):
            own_ids = [entry.item_id for entry in entries]
            more = await self._popular_entries(username, catalog_filter, {*shown_ids, *own_ids}, count=most)
            candidates = [*own_ids, *(entry.item_id for entry in more)][:most]
            if more:
                trigger = Trigger(
                    event_id=new_id(),
                    user_id=username,
                    kind="rerank",
                    candidates=candidates,
                    occurred_at=clients.now_ms(),
                )
                return await self._entries(await ranked(self._context, trigger), catalog_filter)
        return entries

    async def _recent_item_ids(self, username: str) -> set[str]:
        inferred_profile, _ = await self._context.clients.user_profiles.read(validate_user_id(username))
        return {event.item_id for event in inferred_profile.recent} if inferred_profile is not None else set()

    async def _entries(self, feed: Feed, catalog_filter: CatalogFilter) -> list[PageEntry]:
        """Return the items of a feed that match the filter and are visible."""
        visible = await self._context.serve_feed(feed, len(feed.items))
        return [
            PageEntry(feed.items[index], feed.scores[index], feed.reasons[index])
            for index, item in self._context.read_items(visible)
            if catalog_filter.matches(item)
        ]

    def _page_size(self, query: PageQuery) -> int:
        return min(query.page_size, self._context.settings.max_recommendations)

    async def _page(self, page_list: PagedList, query: PageQuery, rank: Rank) -> dict[str, Any]:
        """Return one page of a list, without items that have left the catalog."""
        size = self._page_size(query)
        end = query.page * size
        page = await page_of(self._context, page_list, rank, start=end - size, end=end, cursor=query.cursor)
        items = await self._context.catalog_items([entry.item_id for entry in page.entries])
        return {
            "status": "success",
            "page": query.page,
            "page_size": size,
            "total": page.total,
            "has_next": page.total > end,
            "cursor": page.cursor,
            "posts": [_post(items[entry.item_id], entry) for entry in page.entries if entry.item_id in items],
        }


def _whole(entries: Sequence[PageEntry]) -> Rank:
    """Return a `Rank` over a complete list."""

    async def rank(shown_ids: Collection[str], _at_ms: int) -> PagedRanking:
        rest = [entry for entry in entries if entry.item_id not in shown_ids]
        return PagedRanking(rest, len(shown_ids) + len(rest))

    return rank


def _popular_feed(entries: Sequence[PageEntry], now_ms: int) -> Feed:
    """Return the popular posts as a feed that is nobody's own, for the audit log."""
    return Feed(
        user_id=DEFAULT_FEED,
        features_version=0,
        generated_at=now_ms,
        watermark=0,
        model="trending",
        items=[entry.item_id for entry in entries],
        scores=[entry.score for entry in entries],
        sources=["trending"] * len(entries),
        reasons=[entry.reason for entry in entries],
    )


def _post(item: Item, entry: PageEntry) -> VideoPost:
    number = item.item_id.removeprefix(POST_PREFIX)
    return VideoPost(
        post_id=int(number) if number.isdecimal() else 0,
        title=item.title,
        category=item.category,
        topics=item.topics,
        project_code=item.attributes.get("project_code"),
        username=item.source,
        video_url=item.url,
        thumbnail_url=item.image_url,
        created_at=item.created_at,
        score=entry.score,
        reason=entry.reason,
    )
