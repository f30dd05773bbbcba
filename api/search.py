"""Searching the catalogue: words, filters, pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.answer import answer
from api.context import Context
from api.endpoint import Endpoint
from api.error import InvalidError, StoreAwayError
from api.query import Name, UserId, asked
from infra.chart_store import MOST as CHARTED
from infra.search import Sought
from schemas.limit import ID_CHARS, QUERY_CHARS
from schemas.nearby import spot

NO_MATCHES = "no_search_matches"
"""Why something else is shown than what was searched for."""
_MOST, _DEEPEST = 100, 10_000
_Price = Annotated[float, Meta(ge=0)] | None
_Filter = Annotated[str, Meta(max_length=ID_CHARS)]


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, and which page of it."""

    q: Annotated[str, Meta(max_length=QUERY_CHARS, description="Words, misspelt or not.", examples=["jazz"])]
    kind: _Filter = ""
    """Such as product."""
    category: _Filter = ""
    """A category, or a topic that things are filed under."""
    min_price: _Price = None
    max_price: _Price = None
    min_rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    limit: Annotated[int, Meta(ge=1, le=_MOST)] = 20
    offset: Annotated[int, Meta(ge=0, le=_DEEPEST)] = 0
    user_id: UserId | None = None
    """Who searches: items that are tied to a place are found near to them only; for nobody in particular they come
    last."""
    city: Name | None = None
    """A city to search around instead."""

    def __post_init__(self) -> None:
        if not self.q.strip():
            raise InvalidError("q", "must not be blank")


class Searched(msgspec.Struct, omit_defaults=True):
    """What was found, best first; `next_offset` is that of the next page, where there is one."""

    query: str
    total: int
    results: list[Any]
    """Items as the catalogue has them."""
    next_offset: int | None = None
    corrected: dict[str, str] = {}
    """Words that nothing is described by, and what was searched for instead."""
    fallback_reason: str | None = None
    """Where nothing was found: why what trends is shown instead."""


class SearchEndpoints:
    """The endpoints that search."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [
            Endpoint(
                "GET",
                "/search",
                self.search,
                query=SearchQuery,
                answers={200: Searched},
                errors=(StoreAwayError,),
            )
        ]

    async def search(self, request: Request) -> Response:
        """Search the catalogue; where nothing matches, answer with what trends, and say so."""
        query, context = asked(request, SearchQuery), self._context
        user = await context.spot_of(query.user_id) if query.city is None else spot(None, query.city)
        sought = Sought(
            query=query.q,
            kind=query.kind,
            category=query.category,
            min_price=query.min_price,
            max_price=query.max_price,
            min_rating=query.min_rating,
            limit=query.limit,
            offset=query.offset,
            user=user,
        )
        found = await context.clients.search.find(sought)
        item_ids, end = found.item_ids, query.offset + len(found.item_ids)
        fallback = not item_ids and not query.offset
        if fallback:
            item_ids = await context.clients.charts.read(query.category or None, limit=CHARTED)
        items = await context.offered(item_ids, user)
        return answer(
            Searched(
                query=query.q,
                total=found.total,
                results=list(items.values())[: query.limit],
                next_offset=end if 0 < end < found.total else None,
                corrected=found.corrected,
                fallback_reason=NO_MATCHES if fallback else None,
            )
        )
