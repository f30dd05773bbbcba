"""The search endpoint: full-text search of the catalog, with filters and pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.error import InvalidError, StoreUnavailableError
from api.http.paging import Cursor, Page, PagedRanking, page_of, paged_list
from api.http.query import Name, UserId, parse_query
from api.http.response import json_response
from domain.nearby import GeoLocation, geo_location
from infra.postgres.shop_search import SearchMatches, ShopQuery
from infra.redis.stores.chart_store import CHART_ITEMS
from infra.redis.stores.page_store import MAX_ENTRIES, PageEntry
from schemas.limit import ID_CHARS, QUERY_CHARS

NO_MATCHES = "no_search_matches"
"""The fallback reason if nothing matches."""
_MOST, _MAX_OFFSET = 100, 10_000
_Price = Annotated[float, Meta(ge=0)] | None
_Filter = Annotated[str, Meta(max_length=ID_CHARS)]


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Search terms, filters and page."""

    q: Annotated[
        str, Meta(max_length=QUERY_CHARS, description="Search terms; spelling errors are corrected.", examples=["jazz"])
    ]
    kind: _Filter = ""
    """An item kind, such as product."""
    category: _Filter = ""
    """A category or a topic."""
    min_price: _Price = None
    max_price: _Price = None
    min_rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    limit: Annotated[int, Meta(ge=1, le=_MOST)] = 20
    offset: Annotated[int, Meta(ge=0, le=_MAX_OFFSET)] = 0
    user_id: UserId | None = None
    """The searching user: items tied to a location are found only nearby; without a user they come last."""
    city: Name | None = None
    """A city to search around, instead of the user's location."""
    cursor: Cursor | None = None

    def __post_init__(self) -> None:
        if not self.q.strip():
            raise InvalidError("q", "must not be blank")


class SearchPage(msgspec.Struct, omit_defaults=True):
    """A page of matches, best first; `next_offset` is the offset of the next page, if there is one.

    With `cursor` the next page repeats no item, even if the same search runs elsewhere at the same time.
    """

    query: str
    total: int
    results: list[Any]
    """Catalog items."""
    next_offset: int | None = None
    cursor: str | None = None
    corrected: dict[str, str] = {}  # wire
    """Corrections by search term."""
    fallback_reason: str | None = None
    """The reason for showing trending items instead, if nothing matches."""


class SearchEndpoints:
    """The search endpoint."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/search",
                self.search,
                query=SearchQuery,
                answers={200: SearchPage},
                errors=(StoreUnavailableError,),
            )
        ]

    async def search(self, request: Request) -> Response:
        """Search the catalog; if nothing matches, return trending items with a fallback reason."""
        query, context = parse_query(request, SearchQuery), self._context
        user = await context.location_of(query.user_id) if query.city is None else geo_location(None, query.city)
        matches, page = await self._page(request, query, user)
        item_ids = [entry.item_id for entry in page.entries]
        end = query.offset + len(item_ids)
        fallback = not item_ids and not query.offset
        if fallback:
            item_ids = list(await context.clients.charts.read(query.category or None, limit=CHART_ITEMS))
        items = await context.visible_items(item_ids, user)
        return json_response(
            SearchPage(
                query=query.q,
                total=page.total,
                results=list(items.values())[: query.limit],
                next_offset=end if 0 < end < page.total else None,
                cursor=page.cursor,
                corrected=matches.corrections,
                fallback_reason=NO_MATCHES if fallback else None,
            )
        )

    async def _page(self, request: Request, query: SearchQuery, user: GeoLocation) -> tuple[SearchMatches, Page]:
        """Return the matches and one page of them; beyond `MAX_ENTRIES`, pages are cut from the current matches."""
        start, end = query.offset, query.offset + query.limit
        if end > MAX_ENTRIES:
            matches = await self._find(query, user, limit=query.limit, offset=start)
            return matches, Page([PageEntry(item_id) for item_id in matches.item_ids], matches.total, None)
        matches = SearchMatches()

        async def rank(shown_ids: Collection[str], _at_ms: int) -> PagedRanking:
            nonlocal matches
            matches = await self._find(query, user, limit=end, offset=0)
            rest = [PageEntry(item_id) for item_id in matches.item_ids if item_id not in shown_ids]
            return PagedRanking(rest, len(shown_ids) + len(rest) + max(0, matches.total - end))

        filters = msgspec.structs.replace(query, limit=0, offset=0, cursor=None)
        page = await page_of(
            self._context, paged_list(request, filters, user), rank, start=start, end=end, cursor=query.cursor
        )
        return matches, page

    async def _find(self, query: SearchQuery, user: GeoLocation, *, limit: int, offset: int) -> SearchMatches:
        shop_query = ShopQuery(
            query=query.q,
            kind=query.kind,
            category=query.category,
            min_price=query.min_price,
            max_price=query.max_price,
            min_rating=query.min_rating,
            limit=limit,
            offset=offset,
            user=user,
        )
        return await self._context.clients.search.find(shop_query)
