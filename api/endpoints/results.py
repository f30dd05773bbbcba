"""Results endpoints: a feed grouped by category, and re-ranking of given items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.event_body import RerankBody
from api.endpoints.rerank import ERRORS as RANKED_ERRORS
from api.endpoints.rerank import ranked
from api.endpoints.visibility import VisibleFeed
from api.feeds.feed_content import ContentItem, FeedContent, FeedMetadata, content
from api.http.body import check_count, parse_body
from api.http.endpoint import Endpoint
from api.http.error import NoFeedError, StoreUnavailableError
from api.http.query import LimitQuery, parse_query, validate_user_id
from api.http.response import json_response
from domain.identity import Identity, identity
from infra.redis.stores.item_store import ItemReader

_rerank = msgspec.json.Decoder(RerankBody)


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """The attributes that help to identify an item."""

    year: str = ""


class ResultLabels(msgspec.Struct, frozen=True, gc=False):
    """The item fields that identify an item."""

    category: str
    title: str
    url: str | None = None
    city: str | None = None
    attributes: Attributes = Attributes()


class Result(ContentItem, gc=False, kw_only=True):
    """A ranked item, with the ids of its duplicates."""

    also: list[str]


class Category(msgspec.Struct, gc=False):
    """The results of one category, best first."""

    category: str
    items: list[Result]


class Results(FeedMetadata, gc=False, kw_only=True):
    """A feed grouped by category."""

    categories: list[Category]


class Reranked(FeedContent, gc=False, kw_only=True):
    """The given items, ranked for a user."""

    event_id: str


class KnownAttributes(NamedTuple):
    """The identity of an item, for finding duplicates."""

    category: str
    url: str | None
    identity: Identity


_labels = msgspec.json.Decoder(ResultLabels)


def known_attributes(data: msgspec.Raw) -> KnownAttributes:
    """Return the identity of an item, from its catalog JSON."""
    labels = _labels.decode(data)
    item_identity = identity(labels.title, year=labels.attributes.year, city=labels.city)
    return KnownAttributes(labels.category, labels.url, item_identity)


def by_category(items: Iterable[ContentItem], reader: ItemReader[KnownAttributes], *, limit: int) -> list[Category]:
    """Group ranked items by category, best category first; duplicates are merged into the best-ranked one.

    Items are duplicates if they have the same category and URL, or if `domain.identity` considers them the same. Items
    that have left the catalog are omitted.

    Args:
        items: The ranked items, best first.
        reader: Reads the identity of an item from its JSON.
        limit: Maximum number of results per category.
    """
    groups: dict[str, _Group] = {}
    for item in items:
        if item.item is not None:
            attributes = reader.read(item.item_id, item.item)
            group = groups.get(attributes.category)
            if group is None:
                group = groups[attributes.category] = _Group(limit)
            group.add(item, attributes)
    return [Category(name, group.results) for name, group in groups.items()]


class _Group:
    """The results of one category, indexed by URL and by identity key."""

    def __init__(self, limit: int) -> None:
        self.results: list[Result] = []
        self._limit = limit
        self._by_url: dict[str, Result] = {}
        self._by_key: dict[str, list[tuple[Identity, Result]]] = {}

    def add(self, item: ContentItem, attributes: KnownAttributes) -> None:
        """Add an item, or record it as a duplicate."""
        duplicate = self._duplicate(attributes)
        if duplicate is not None:
            duplicate.also.append(item.item_id)
        elif len(self.results) < self._limit:
            result = Result(
                item.item_id, item.score, item.source, item.reason, item.parts, item.propensity, item.item, also=[]
            )
            self.results.append(result)
            self._by_key.setdefault(attributes.identity.key, []).append((attributes.identity, result))
            if attributes.url:
                self._by_url[attributes.url] = result

    def _duplicate(self, attributes: KnownAttributes) -> Result | None:
        if attributes.url in self._by_url:
            return self._by_url[attributes.url]
        for other, result in self._by_key.get(attributes.identity.key, ()):
            if other.is_same(attributes.identity):
                return result
        return None


class ResultEndpoints:
    """Endpoints of results."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._reader = ItemReader(known_attributes)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "POST",
                "/results/re-rank",
                self.rerank,
                body=RerankBody,
                example={"user_id": "alex", "candidates": ["music-distant-garden-side-two", "places-old-mill"]},
                answers={200: Reranked},
                errors=RANKED_ERRORS,
            ),
            Endpoint(
                "GET",
                "/results/{user_id}",
                self.show,
                query=LimitQuery,
                answers={200: Results},
                errors=(NoFeedError, StoreUnavailableError),
            ),
        ]

    async def show(self, request: Request) -> Response:
        """Return a user's feed grouped by category, without duplicates; the limit applies to each category."""
        user_id, limit = validate_user_id(request.path_params["user_id"]), parse_query(request, LimitQuery).limit
        feed = await self._context.feed_of(user_id, surface=self._context.default_surface)
        fields = self._content(user_id, await self._context.serve_feed(feed, len(feed.items)))
        categories = by_category(fields.pop("items"), self._reader, limit=limit)
        return json_response(Results(**fields, categories=categories))

    async def rerank(self, request: Request) -> Response:
        """Return the given items, ranked for a user by a worker."""
        body = await parse_body(request, _rerank, self._context.settings.api_max_body_bytes)
        check_count("candidates", body.candidates, self._context.settings.api_max_candidates)
        trigger = body.record(self._context.clients.now_ms())
        feed = await ranked(self._context, trigger)
        visible = await self._context.serve_reranked(feed, len(feed.items))
        return json_response(Reranked(**self._content(body.user_id, visible), event_id=trigger.event_id))

    def _content(self, user_id: str, visible: VisibleFeed) -> dict[str, Any]:
        return msgspec.structs.asdict(content(user_id, visible, now_ms=self._context.clients.now_ms()))
