"""The Context IQ contract: interactions, user profiles, preferences, and the catalog.

Its recommendations are in `context_iq_recommendations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.compat.context_iq_recommendations import DIGITS, Count
from api.context import ApiContext
from api.endpoints.event_body import InteractionBody, PreferencesBody, changes_of, profile_update
from api.endpoints.health import HealthProber, overall
from api.endpoints.visibility import SPARE_ITEMS
from api.http.body import Values, parse_body
from api.http.endpoint import Endpoint
from api.http.error import BrokerUnavailableError, ChangedError, NoItemError, NoProfileError, StoreUnavailableError
from api.http.precondition import entity_tag, matching_state
from api.http.query import Name, parse_query, validate_user_id
from api.http.response import json_response
from domain.dwell_time import watched_share
from domain.nearby import geo_location
from infra.llm.key import has_key
from infra.postgres.catalog_filter import CatalogFilter
from infra.redis.connection import StoreError
from schemas.types import Item
from topics.topic import INTERACTIONS, PROFILE_UPDATES

VERSION = version("millrace")
_BODY_BYTES = 64 << 10
_TOP_CATEGORIES = 5


class ContentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A filter on the catalog."""

    category: Name | None = None
    limit: Count = 50


class SimilarContentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The number of results, and the minimum similarity; it defaults to SIMILARITY_THRESHOLD."""

    limit: Count = 10
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class InteractBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /api/v1/interact."""

    user_id: str
    content_id: str
    interaction_type: Literal["view", "like", "share", "save"]
    duration_seconds: Annotated[float, Meta(ge=0, le=1e6)] | None = None
    metadata: Values = None
    event_id: str | None = None


class ContextIqHealth(msgspec.Struct):
    """The health of the service; `bedrock` says whether Claude is reached through AWS Bedrock."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    services: dict[str, bool]


class InteractAccepted(msgspec.Struct):
    """The interaction was published."""

    status: str
    message: str
    event_id: str


class CategoryCount(msgspec.Struct):
    """The number of a user's interactions with items of a category."""

    category: str
    count: int


class ContextIqProfile(msgspec.Struct):
    """A summary of a user's interactions.

    `cached` is true for one that was made before the request and contains the user's last interaction.
    """

    user_id: str
    total_interactions: int
    interaction_breakdown: dict[str, int]
    top_categories: list[CategoryCount]
    cached: bool  # wire


class ContentEntry(msgspec.Struct):
    """One catalog item."""

    content_id: str
    title: str
    category: str
    description: str


class Contents(msgspec.Struct):
    """Catalog items, newest first."""

    content: list[ContentEntry]
    count: int


class SimilarEntry(ContentEntry):
    """A similar item, with its similarity (0 to 1)."""

    similarity: float


class SimilarContents(msgspec.Struct):
    """Items similar to an item, most similar first."""

    content_id: str
    similar: list[SimilarEntry]
    count: int


class StatedPreferences(msgspec.Struct):
    """A user's stated preferences."""

    user_id: str
    categories: list[str] = []
    topics: list[str] = []
    muted: list[str] = []  # wire
    timezone: str | None = None
    city: str | None = None


_interact = msgspec.json.Decoder(InteractBody)
_preferences = msgspec.json.Decoder(PreferencesBody)
_INTERACT = {
    "user_id": "user123",
    "content_id": "article_abc",
    "interaction_type": "view",
    "duration_seconds": 120,
    "metadata": {"source": "homepage", "device": "mobile"},
}
_PREFERENCES = {"categories": ["technology"], "muted": ["sports"]}
_PREFERENCES_PATH = "/api/v1/user-profile/{user_id}/preferences"


class ContextIqEndpoints:
    """Endpoints of Context IQ."""

    def __init__(self, context: ApiContext) -> None:
        self._context, self._prober = context, HealthProber(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint(
                "GET",
                "/api/v1/health",
                self.health,
                scope="public",
                answers={200: ContextIqHealth, 503: ContextIqHealth},
            ),
            Endpoint(
                "POST",
                "/api/v1/interact",
                self.interact,
                body=InteractBody,
                example=_INTERACT,
                answers={200: InteractAccepted},
                errors=(BrokerUnavailableError,),
            ),
            Endpoint(
                "GET",
                "/api/v1/content",
                self.content,
                query=ContentQuery,
                answers={200: Contents},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "GET",
                "/api/v1/content/{content_id}/similar",
                self.similar,
                query=SimilarContentQuery,
                answers={200: SimilarContents},
                errors=(NoItemError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                _PREFERENCES_PATH,
                self.preferences,
                answers={200: StatedPreferences},
                errors=(StoreUnavailableError,),
            ),
            Endpoint(
                "PUT",
                _PREFERENCES_PATH,
                self.prefer,
                body=PreferencesBody,
                example=_PREFERENCES,
                answers={200: StatedPreferences},
                errors=(BrokerUnavailableError, ChangedError, StoreUnavailableError),
            ),
            Endpoint(
                "GET",
                "/api/v1/user-profile/{user_id}",
                self.profile,
                answers={200: ContextIqProfile},
                errors=(NoProfileError, StoreUnavailableError),
            ),
        ]

    async def health(self, request: Request) -> Response:
        """Report which services are available."""
        up = {name: one.status == "ok" for name, one in (await self._prober.dependencies()).items()}
        services = {name: up.get(name, False) for name in ("database", "redis", "kafka")}
        status = overall(up, await self._prober.pipeline())
        status_names: dict[str, Literal["healthy", "degraded", "unhealthy"]] = {"ok": "healthy", "down": "unhealthy"}
        health = status_names.get(status, "degraded")
        report = ContextIqHealth(health, VERSION, services | {"bedrock": self._has_bedrock()})
        return json_response(report, 503 if status == "down" else 200)

    def _has_bedrock(self) -> bool:
        settings = self._context.settings
        return settings.llm_provider == "bedrock" and has_key(settings)

    async def interact(self, request: Request) -> Response:
        """Publish an interaction; the user's recommendations and profile are not `cached` until they contain it."""
        now_ms = self._context.clients.now_ms()
        body = await parse_body(request, _interact, _BODY_BYTES)
        is_timed_view = body.interaction_type == "view" and body.duration_seconds is not None
        event = InteractionBody(
            user_id=body.user_id,
            event_id=body.event_id,
            action=body.interaction_type,
            item_id=body.content_id,
            value=watched_share(body.duration_seconds or 0.0) if is_timed_view else None,
            context={**(body.metadata or {}), "duration_seconds": body.duration_seconds},
        ).record(now_ms)
        offsets = await self._context.publish(INTERACTIONS, [event])
        with suppress(StoreError):  # the interaction is published
            await self._context.clients.interactions.write_offset(event.user_id, max(offsets.values()))
        return json_response(
            InteractAccepted("success", "Interaction recorded and queued for processing", event.event_id)
        )

    async def profile(self, request: Request) -> Response:
        """Return a summary of a user's interactions."""
        user_id = validate_user_id(request.path_params["user_id"])
        published_offset = await self._context.published_offset(user_id)
        inferred_profile, stated_profile = await self._context.clients.user_profiles.read(user_id)
        if inferred_profile is None and stated_profile is None:
            raise NoProfileError(user_id)
        categories = await self._context.clients.catalog_listing.categories_of(user_id, _TOP_CATEGORIES)
        return json_response(
            ContextIqProfile(
                user_id=user_id,
                total_interactions=inferred_profile.event_count if inferred_profile is not None else 0,
                interaction_breakdown=inferred_profile.counts if inferred_profile is not None else {},
                top_categories=[CategoryCount(*pair) for pair in categories],
                cached=inferred_profile is not None and inferred_profile.interactions_offset >= published_offset,
            )
        )

    async def content(self, request: Request) -> Response:
        """Return catalog items."""
        query = parse_query(request, ContentQuery)
        names = await self._context.clients.catalog_listing.find(
            CatalogFilter(category=query.category), limit=query.limit
        )
        items = (await self._context.catalog_items(names)).values()
        entries = [_entry(item) for item in items if not item.private]
        return json_response(Contents(entries, len(entries)))

    async def similar(self, request: Request) -> Response:
        """Return the catalog items similar to an item: used by the same people, or with a similar text."""
        query, content_id = parse_query(request, SimilarContentQuery), request.path_params["content_id"]
        item = (await self._context.catalog_items([content_id])).get(content_id)
        if item is None:
            raise NoItemError(content_id)
        least = self._context.settings.similarity_threshold if query.threshold is None else query.threshold
        pairs = await self._context.clients.catalog_listing.similar(
            content_id, prefix="", min_similarity=least, limit=query.limit + SPARE_ITEMS
        )
        similarity = dict(pairs)
        items = await self._context.visible_items(list(similarity), geo_location(item.cell, item.city))
        entries = [
            SimilarEntry(**msgspec.structs.asdict(_entry(item)), similarity=round(similarity[item_id], DIGITS))
            for item_id, item in items.items()
        ][: query.limit]
        return json_response(SimilarContents(content_id, entries, len(entries)))

    async def preferences(self, request: Request) -> Response:
        """Return a user's stated preferences."""
        preferences = await self._stated_preferences(validate_user_id(request.path_params["user_id"]))
        return json_response(preferences, tag=entity_tag(preferences))

    async def prefer(self, request: Request) -> Response:
        """Change some of a user's preferences; with If-Match only if they have not changed in the meantime.

        The response combines the stored preferences with the change. An immediately preceding change may be missing
        from it, but is not lost.
        """
        user_id, now_ms = validate_user_id(request.path_params["user_id"]), self._context.clients.now_ms()
        body = await parse_body(request, _preferences, _BODY_BYTES)
        changes = changes_of(body)
        preferences = await matching_state(request, lambda: self._stated_preferences(user_id))
        if changes:
            update = self._context.validated(profile_update(user_id, changes, now_ms))
            await self._context.send(PROFILE_UPDATES, [update])
            preferences = replace(preferences, **{name: getattr(update, name) for name in changes})
        return json_response(preferences, tag=entity_tag(preferences))

    async def _stated_preferences(self, user_id: str) -> StatedPreferences:
        _, profile = await self._context.clients.user_profiles.read(user_id)
        if profile is None:
            return StatedPreferences(user_id)
        return msgspec.convert(profile, StatedPreferences, from_attributes=True)


def _entry(item: Item) -> ContentEntry:
    return ContentEntry(item.item_id, item.title, item.category, item.description)
