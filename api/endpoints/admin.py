"""Admin endpoints: a user's prefetch cache, prompts and feeds of the past, and the highest event rates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint, Handler
from api.http.error import ApiError, NoPastFeedError, NoPromptsError, StoreUnavailableError
from api.http.query import parse_query, validate_user_id
from api.http.response import json_response
from domain.timestamp import epoch_ms
from infra.postgres.feed_history import PastFeed, past_feed
from infra.redis import event_rates
from infra.redis.event_rates import EventRates
from infra.redis.stores.prefetch_store import Prefetched, PrefetchQuestion
from schemas.types import Interaction

_LAG_MS = 5_000
"""An item may reach the item store this much later than the prefetch cache."""


class UserPrompts(msgspec.Struct, frozen=True):
    """A user's prompts for the language model."""

    user_id: str
    prompts: Sequence[PrefetchQuestion]


class CacheEntry(Prefetched, frozen=True, kw_only=True, gc=False):
    """A cached answer, with its remaining lifetime in seconds."""

    left_s: float


class CachedContent(msgspec.Struct, frozen=True):
    """A user's cached answers, and their interactions of the last day."""

    user_id: str
    entries: list[CacheEntry]
    interaction_log: list[Interaction]


class ClearedCache(msgspec.Struct, frozen=True):
    """The number of deleted cache entries."""

    user_id: str
    cleared: int  # wire


class PastFeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A time of the past."""

    at: Annotated[
        datetime, Meta(tz=True, description="The time, with its offset from UTC.", examples=["2026-11-24T14:00:00Z"])
    ]


class AdminEndpoints:
    """Endpoints of the prefetch cache, of feeds of the past and of the event rates."""

    def __init__(self, context: ApiContext) -> None:
        clients, self._items = context.clients, context.items
        self._heartbeats, self._feed_history = clients.heartbeats, clients.feed_history
        self._prefetch_store, self._interactions, self._now_ms = (
            clients.prefetch_store,
            clients.interactions,
            clients.now_ms,
        )

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            _admin("GET", "/prompts/{user_id}", self.prompts, UserPrompts, NoPromptsError),
            _admin("GET", "/admin/cache/view/{user_id}", self.view, CachedContent),
            _admin("POST", "/admin/cache/clear/{user_id}", self.clear, ClearedCache),
            _admin("GET", "/admin/feeds/{user_id}", self.past_feed_of, PastFeed, NoPastFeedError, query=PastFeedQuery),
            _admin("GET", "/admin/event-rates", self.show_rates, EventRates),
        ]

    async def prompts(self, request: Request) -> Response:
        """Return the prompts that the last trigger of a user produced for the language model."""
        user_id = validate_user_id(request.path_params["user_id"])
        questions = await self._prefetch_store.read_questions(user_id)
        if not questions:
            raise NoPromptsError(user_id)
        return json_response(UserPrompts(user_id, questions))

    async def view(self, request: Request) -> Response:
        """Return a user's cached answers, and their interactions of the last day."""
        user_id, now_ms = validate_user_id(request.path_params["user_id"]), self._now_ms()
        answers = [await self._listed(one, now_ms) for one in await self._prefetch_store.read(user_id)]
        entries = [
            CacheEntry(**msgspec.structs.asdict(one), left_s=(one.expires_at - now_ms) / 1_000) for one in answers
        ]
        events = await self._interactions.read(user_id)
        return json_response(CachedContent(user_id, entries, events))

    async def _listed(self, answer: Prefetched, now_ms: int) -> Prefetched:
        """Return an answer without items that have left the catalog since; the items of a new answer may yet arrive."""
        if now_ms - answer.fetched_at < _LAG_MS:
            return answer
        stored_items, _ = await self._items.read([item.item_id for item in answer.items])
        items = [item for item, data in zip(answer.items, stored_items, strict=True) if data is not None]
        return msgspec.structs.replace(answer, items=items)

    async def clear(self, request: Request) -> Response:
        """Clear a user's prefetch cache: the next trigger fetches the content again."""
        user_id = validate_user_id(request.path_params["user_id"])
        return json_response(ClearedCache(user_id, await self._prefetch_store.clear(user_id)))

    async def past_feed_of(self, request: Request) -> Response:
        """Return a user's feed as it was served at a time, with scores, reasons and versions.

        The archive keeps every feed for FEED_HISTORY_DAYS. The items are in the order that was shown to a reader at
        that time, after as long an absence. Users without a feed of their own by then were shown the default feed,
        which has no history.
        """
        user_id = validate_user_id(request.path_params["user_id"])
        at_ms = epoch_ms(parse_query(request, PastFeedQuery).at)
        feed = await self._feed_history.read(user_id, at_ms)
        if feed is None:
            raise NoPastFeedError(user_id)
        return json_response(past_feed(feed, at_ms))

    async def show_rates(self, request: Request) -> Response:
        """Return the users and the items with the highest event rates, at most ten of each.

        Rates are in events per minute: averages over about the last minute in which newer events weigh more. Rates
        below one event per minute are omitted. All lists are empty while the feed role does not run.
        """
        return json_response(event_rates.merged(await self._heartbeats()))


def _admin(
    method: Literal["GET", "POST"],
    path: str,
    handler: Handler,
    answers: Any,
    *errors: type[ApiError],
    query: type[msgspec.Struct] | None = None,
) -> Endpoint:
    return Endpoint(
        method,
        path,
        handler,
        scope="admin",
        answers={200: answers},
        query=query,
        errors=(StoreUnavailableError, *errors),
    )
