"""The shop contract: home page, similar products, association rules, search, and shop events.

As the contract demands, an invalid path or query parameter is answered with 400 and an invalid body with 422; a body
that lacks a field that its event needs is answered with 400.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.search import NO_MATCHES
from api.http.body import new_id, parse_body
from api.http.endpoint import Endpoint
from api.http.error import (
    BadValueError,
    BrokerUnavailableError,
    InvalidError,
    NoMatchError,
    NoProductError,
    StoreUnavailableError,
)
from api.http.query import Q, parse_query
from api.http.response import json_response
from domain.nearby import GeoLocation, geo_location
from domain.timestamp import utc_time
from infra.postgres.shop_search import ShopQuery
from schemas.limit import PRODUCT, QUERY_CHARS
from schemas.types import Interaction, Item
from topics.topic import INTERACTIONS

_BODY_BYTES = 16 << 10
_USER_ID = re.compile(r"[a-zA-Z0-9]{1,50}")
_PRODUCT_ID = re.compile(r"[A-Z0-9]{10}")
"""The contract's format of product ids; the catalog also has products with other ids."""
_MAX_SHOWN, _MAX_FOUND = 60, 6_000
_EVENTS: dict[str, Literal["click", "search"]] = {"product_click": "click", "search_query": "search"}
_NAMES: dict[str, str] = {action: event for event, action in _EVENTS.items()}


def _documented(pattern: str, example: str) -> Any:
    """Return the documentation of a value that the handler validates itself."""
    return Meta(extra_json_schema={"pattern": pattern}, examples=[example])


UserId = Annotated[str, _documented("^[a-zA-Z0-9]{1,50}$", "user123")]
ProductId = Annotated[str, _documented("^[A-Z0-9]{10}$", "B08CF3D7QR")]


class ProductPath(msgspec.Struct, frozen=True, kw_only=True):
    """A product id in a path."""

    product_id: ProductId


class UserPath(msgspec.Struct, frozen=True, kw_only=True):
    """A user id in a path."""

    user_id: UserId


class ProductQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The number of products; values are clamped to 1 to 60."""

    response_limit: int = 20


class HomeQuery(ProductQuery, frozen=True, kw_only=True):
    """The user whose home page is requested, and the number of products per list."""

    user_id: UserId = ""


class ShopSearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Search terms, and a limit, which is clamped to 1 to 6000."""

    query: Annotated[str, Meta(extra_json_schema={"maxLength": QUERY_CHARS}, examples=["earbuds"])] = ""
    response_limit: int = 2_000


class DaysQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The length of the history in days."""

    days: Annotated[int, Meta(ge=1, le=365)] = 30


class ShopInteractionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A click on a product, or a search."""

    user_id: UserId
    event_type: Literal["product_click", "search_query"]
    product_id: ProductId | None = None
    query: str | None = None

    def record(self, now_ms: int) -> Interaction:
        """Return the record to publish.

        Raises:
            BadValueError: a field that this event needs is missing.
            InvalidError: a field is invalid; the error names it.
        """
        query = (self.query or "").strip()
        is_click = self.event_type == "product_click"
        if not _USER_ID.fullmatch(self.user_id):
            raise InvalidError("user_id", "must be 1 to 50 letters and digits")
        if is_click and not self.product_id:
            raise BadValueError("product_id", "is missing: a product_click needs it")
        if not is_click and not query:
            raise BadValueError("query", "is missing or blank: a search_query needs it")
        if self.product_id and not _PRODUCT_ID.fullmatch(self.product_id):
            raise InvalidError("product_id", "must be 10 of A to Z and 0 to 9")
        if len(query) > QUERY_CHARS:
            raise InvalidError("query", f"must have at most {QUERY_CHARS} characters")
        return Interaction(
            event_id=new_id(),
            user_id=self.user_id,
            item_id=self.product_id if is_click else None,
            action=_EVENTS[self.event_type],
            query=None if is_click else query,
            occurred_at=now_ms,
        )


class ShopProduct(msgspec.Struct, gc=False):
    """A product for display in a shop."""

    id: str
    name: str
    category: str
    image: str | None
    price: float | None
    original_price: float | None
    rating: float | None
    reviews: int | None
    discount_ratio: float | None


class ShopHome(msgspec.Struct):
    """The lists of a home page; `personalized` is empty for new users and after 30 days of inactivity."""

    personalized: list[ShopProduct]  # wire
    trending: list[ShopProduct]
    best_value: list[ShopProduct]
    top_categories: dict[str, list[ShopProduct]]
    diverse_picks: list[ShopProduct]


class SimilarProducts(msgspec.Struct):
    """The products most similar to a product."""

    similar: list[ShopProduct]


class AssociatedProduct(msgspec.Struct):
    """A product clicked by users who click another one, with the rule's support, confidence and lift."""

    product: ShopProduct
    support: float
    confidence: float
    lift: float


class AssociationRules(msgspec.Struct):
    """The products associated with a product, by descending confidence."""

    rules: list[AssociatedProduct]


class ShopResults(msgspec.Struct, omit_defaults=True):
    """The matches, best first; trending products and a reason if nothing matches."""

    results: list[ShopProduct]
    fallback_reason: str | None = None


class ShopEventEntry(msgspec.Struct):
    """One shop event of a user."""

    event_type: str
    product_id: str | None
    query: str | None
    timestamp: datetime


class ShopEvents(msgspec.Struct):
    """A user's shop events, newest first."""

    user_id: str
    interactions: list[ShopEventEntry]


_body = msgspec.json.Decoder(ShopInteractionBody)


def endpoints(context: ApiContext) -> list[Endpoint]:
    """Return the endpoints of the shop contract."""
    shop = _Shop(context)
    read, publish = (StoreUnavailableError, BadValueError), (BrokerUnavailableError, BadValueError, InvalidError)
    click = {"user_id": "user123", "event_type": "product_click", "product_id": "ABCD1234XY"}
    interaction_options: dict[str, Any] = {
        "body": ShopInteractionBody,
        "answers": {200: None},
        "errors": publish,
        "example": click,
    }
    product = "/recommendations/product/{product_id}"
    of_product: dict[str, Any] = {
        "query": ProductQuery,
        "path_parameters": ProductPath,
        "errors": (*read, NoProductError),
    }
    return [
        Endpoint("GET", "/recommendations/home", shop.home, query=HomeQuery, answers={200: ShopHome}, errors=read),
        Endpoint("GET", f"{product}/rules", shop.rules, answers={200: AssociationRules}, **of_product),
        Endpoint("GET", product, shop.similar, answers={200: SimilarProducts}, **of_product),
        Endpoint(
            "GET",
            "/recommendations/search",
            shop.search,
            query=ShopSearchQuery,
            answers={200: ShopResults},
            errors=(*read, NoMatchError),
        ),
        Endpoint("POST", "/interactions", shop.interaction, **interaction_options),
        Endpoint("POST", "/api/v1/interactions/interactions", shop.interaction, **interaction_options),
        Endpoint(
            "GET",
            "/api/v1/interactions/interactions/{user_id}",
            shop.interactions,
            query=DaysQuery,
            path_parameters=UserPath,
            answers={200: ShopEvents},
            errors=read,
        ),
    ]


class _Shop:
    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def home(self, request: Request) -> Response:
        """Return the product lists of a user's home page."""
        query = _parse_query(request, HomeQuery)
        limit, now_ms = _clamp(query.response_limit, _MAX_SHOWN), self._context.clients.now_ms()
        home, charts = await self._context.clients.shop_store.read(_user(query.user_id), now_ms=now_ms)
        user = await self._context.location_of(query.user_id)
        lists = {
            "personalized": home.personalized if home else [],
            "trending": charts.trending,
            "best_value": charts.best_value,
            "diverse_picks": home.diverse if home else charts.diverse,
        }
        id_lists = (*lists.values(), *charts.top_categories.values())
        products = [
            products[:limit]
            for products in await asyncio.gather(*(self._visible_products(ids, user) for ids in id_lists))
        ]
        return json_response(
            ShopHome(
                **dict(zip(lists, products, strict=False)),
                top_categories=dict(zip(charts.top_categories, products[len(lists) :], strict=True)),
            )
        )

    async def similar(self, request: Request) -> Response:
        """Return the products most similar to a product: used by the same people, or with a similar name."""
        product, limit = await self._product(request)
        item_ids = await self._context.clients.shop_archive.similar(product.item_id, _MAX_SHOWN)
        return json_response(
            SimilarProducts((await self._visible_products(item_ids, geo_location(product.cell, product.city)))[:limit])
        )

    async def rules(self, request: Request) -> Response:
        """Return the products clicked by users who click a product."""
        product, limit = await self._product(request)
        pairs = await self._context.clients.shop_archive.rules(product.item_id, _MAX_SHOWN)
        rules = {rule.other: rule for rule in pairs}
        products = (await self._visible_products(list(rules), geo_location(product.cell, product.city)))[:limit]
        return json_response(AssociationRules([AssociatedProduct(one, *rules[one.id][1:]) for one in products]))

    async def search(self, request: Request) -> Response:
        """Search the products; if nothing matches, return trending products with a reason."""
        parsed_query = _parse_query(request, ShopSearchQuery)
        query, limit = parsed_query.query.strip(), _clamp(parsed_query.response_limit, _MAX_FOUND)
        if not 1 <= len(query) <= QUERY_CHARS:
            raise BadValueError("query", f"must have 1 to {QUERY_CHARS} characters, not counting surrounding blanks")
        user = await self._context.location_of(None)
        matches = await self._context.clients.search.find(ShopQuery(query=query, kind=PRODUCT, limit=limit, user=user))
        results = await self._visible_products(matches.item_ids, user)
        if results:
            return json_response(ShopResults(results))
        _, charts = await self._context.clients.shop_store.read("", now_ms=self._context.clients.now_ms())
        trending = (await self._visible_products(charts.trending, user))[:limit]
        if not trending:
            raise NoMatchError
        return json_response(ShopResults(trending, NO_MATCHES))

    async def interaction(self, request: Request) -> Response:
        """Publish a click on a product, or a search."""
        now_ms = self._context.clients.now_ms()
        event = (await parse_body(request, _body, _BODY_BYTES)).record(now_ms)
        await self._context.publish(INTERACTIONS, [event])
        return Response(headers={"Cache-Control": "no-store"})

    async def interactions(self, request: Request) -> Response:
        """Return a user's clicks on products, and searches."""
        user_id, days = _user(request.path_params["user_id"]), _parse_query(request, DaysQuery).days
        now = utc_time(self._context.clients.now_ms())
        events = await self._context.clients.shop_archive.events(user_id, now - timedelta(days=days))
        items = await self._context.catalog_items([*{one.item_id for one in events if one.item_id is not None}])
        events = [one for one in events if one.item_id is None or _is_product(one.item_id, items.get(one.item_id))]
        return json_response(
            ShopEvents(user_id, [ShopEventEntry(_NAMES[one.action], one.item_id, one.query, one.at) for one in events])
        )

    async def _product(self, request: Request) -> tuple[Item, int]:
        """Return the requested product, and the number of related products.

        Raises:
            BadValueError, NoProductError
        """
        product_id = request.path_params["product_id"]
        if not _PRODUCT_ID.fullmatch(product_id):
            raise BadValueError("product_id", "must be 10 of A to Z and 0 to 9")
        product = (await self._context.catalog_items([product_id])).get(product_id)
        if product is None or product.kind != PRODUCT:
            raise NoProductError(product_id)
        return product, _clamp(_parse_query(request, ProductQuery).response_limit, _MAX_SHOWN)

    async def _visible_products(self, item_ids: Sequence[str], user: GeoLocation) -> list[ShopProduct]:
        """Return the items that are products and visible to a user, for display."""
        items = await self._context.visible_items(item_ids, user)
        return [_shop_product(item) for item in items.values() if item.kind == PRODUCT]


def _is_product(item_id: str, item: Item | None) -> bool:
    """Return whether an item is a product; one that has left the catalog is judged by the format of its id."""
    return _PRODUCT_ID.fullmatch(item_id) is not None if item is None else item.kind == PRODUCT


def _shop_product(item: Item) -> ShopProduct:
    discount_ratio = None
    if item.price is not None and item.original_price:
        discount_ratio = round(1 - item.price / item.original_price, 4)
    return ShopProduct(
        id=item.item_id,
        name=item.title,
        category=" > ".join((item.category, *item.topics[:1])),
        image=item.image_url,
        price=item.price,
        original_price=item.original_price,
        rating=item.rating,
        reviews=item.reviews,
        discount_ratio=discount_ratio,
    )


def _parse_query(request: Request, kind: type[Q]) -> Q:
    """Return a request's query parameters.

    Raises:
        BadValueError: a parameter is invalid; the error names it.
    """
    try:
        return parse_query(request, kind)
    except InvalidError as error:
        raise BadValueError(error.field or "", error.problem) from error


def _user(user_id: str) -> str:
    if not _USER_ID.fullmatch(user_id):
        raise BadValueError("user_id", "must be 1 to 50 letters and digits")
    return user_id


def _clamp(limit: int, most: int) -> int:
    return max(1, min(limit, most))
