"""Event endpoints: each event is validated and published; 202 follows once the broker has acknowledged it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.event_body import (
    BatchBody,
    ImpressionBody,
    InteractionBody,
    LocationBody,
    ProfileBody,
    ProfilePatch,
    RetrieveBatchBody,
    RetrieveBody,
    changes_of,
    profile_update,
)
from api.http.batch import ANSWERS as BATCH_ANSWERS
from api.http.batch import ERRORS as BATCH_ERRORS
from api.http.batch import publish_each
from api.http.body import check_count, decode, new_id, parse_body, read_body
from api.http.endpoint import Endpoint, Handler
from api.http.error import ApiError, BrokerUnavailableError, InvalidError, MalformedError, TooLargeError
from api.http.query import validate_user_id
from api.http.response import Accepted, AcceptedInteraction, accepted, json_response
from infra.kafka.folded_header import EventPosition
from schemas.types import ProfileUpdate
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, TRIGGERS

B = TypeVar("B")

EVENT_BYTES = 256 << 10
"""Largest body of one event; brokers accept messages of about 1 MB."""
PATCH_BYTES = 64 << 10
"""Largest body of a profile change: changes accumulate, and the whole profile must fit into one message."""

_interaction = msgspec.json.Decoder(InteractionBody)
_batch = msgspec.json.Decoder(BatchBody)
_impression = msgspec.json.Decoder(ImpressionBody)
_location = msgspec.json.Decoder(LocationBody)
_profile = msgspec.json.Decoder(ProfileBody)
_profile_patch = msgspec.json.Decoder(ProfilePatch)
_retrieve = msgspec.json.Decoder(RetrieveBody)
_retrieve_batch = msgspec.json.Decoder(RetrieveBatchBody)


_CLICK = {"user_id": "alex", "item_id": "music-distant-garden-side-two", "action": "click"}
_SHOWN = {"user_id": "alex", "items": [{"item_id": "music-distant-garden-side-two", "position": 0}], "surface": "home"}
_PLACE = {"user_id": "alex", "lat": 38.7, "lon": -9.1}
_PROFILE = {"user_id": "alex", "categories": ["music"], "timezone": "Europe/Lisbon", "attributes": {"age": 31}}


class Interactions(msgspec.Struct, frozen=True):
    """POST /interaction/batch, as documented for clients."""

    interactions: list[InteractionBody]


class AcceptedPlace(msgspec.Struct, frozen=True):
    """The location was published as an H3 cell, without the coordinates."""

    event_id: str
    cell: str


class _LenientBatch(msgspec.Struct):
    interactions: list[Any]


class PublishEndpoints:
    """Endpoints that publish events."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            _publishes("/interaction", self.interaction, InteractionBody, _CLICK, answers={202: AcceptedInteraction}),
            _publishes(
                "/interaction/batch",
                self.batch,
                Interactions,
                {"interactions": [_CLICK, {**_CLICK, "action": "rate", "value": 4.5}]},
                answers=BATCH_ANSWERS,
                errors=BATCH_ERRORS,
            ),
            _publishes("/impression", self.impression, ImpressionBody, _SHOWN),
            _publishes("/location", self.location, LocationBody, _PLACE, answers={202: AcceptedPlace}),
            _publishes("/profile", self.profile, ProfileBody, _PROFILE),
            Endpoint(
                "PATCH",
                "/profile/{user_id}",
                self.patch_profile,
                body=ProfilePatch,
                example={"muted": ["sports"]},
                answers={202: Accepted},
                errors=(BrokerUnavailableError,),
            ),
            Endpoint(
                "DELETE",
                "/profile/{user_id}",
                self.forget_profile,
                answers={202: Accepted},
                errors=(BrokerUnavailableError,),
            ),
            _publishes("/retrieve", self.retrieve, RetrieveBody, {"user_id": "alex", "reason": "pulled to refresh"}),
            Endpoint(
                "POST",
                "/retrieve/batch",
                self.retrieve_batch,
                scope="service",
                body=RetrieveBatchBody,
                example={"user_ids": ["alex", "kim"]},
                answers=BATCH_ANSWERS,
                errors=BATCH_ERRORS,
            ),
        ]

    async def interaction(self, request: Request) -> Response:
        """Publish one interaction."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _interaction)).record(now_ms)
        [(partition, offset)] = (await self._context.publish(INTERACTIONS, [event])).items()
        token = EventPosition(INTERACTIONS.name, partition, offset)
        return json_response(AcceptedInteraction(event.event_id, str(token)), 202)

    async def batch(self, request: Request) -> Response:
        """Publish a batch of interactions; invalid ones are reported and skipped."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        entries = _entries(await read_body(request, settings.api_max_body_bytes))
        check_count("interactions", entries, settings.api_max_batch)
        return await publish_each(
            self._context, INTERACTIONS, enumerate(entries), lambda entry: _batched(entry).record(now_ms)
        )

    async def impression(self, request: Request) -> Response:
        """Publish an impression: the items shown to a user."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _impression)).record(now_ms)
        await self._context.publish(IMPRESSIONS, [event])
        return accepted(event.event_id)

    async def location(self, request: Request) -> Response:
        """Publish a user's location, coarsened to an H3 cell."""
        now_ms = self._context.clients.now_ms()
        body = await self._event(request, _location)
        event = body.record(now_ms, resolution=self._context.settings.location_resolution)
        await self._context.publish(LOCATIONS, [event])
        return json_response(AcceptedPlace(event.event_id, event.cell), 202)

    async def profile(self, request: Request) -> Response:
        """Publish a user's stated profile."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _profile)).record(now_ms)
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def patch_profile(self, request: Request) -> Response:
        """Change some fields of a user's stated profile; omitted fields stay unchanged."""
        user_id = validate_user_id(request.path_params["user_id"])
        patch = await parse_body(request, _profile_patch, PATCH_BYTES)
        event = profile_update(user_id, changes_of(patch), self._context.clients.now_ms())
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def forget_profile(self, request: Request) -> Response:
        """Delete a user's stated profile; their interactions stay."""
        user_id = validate_user_id(request.path_params["user_id"])
        event = ProfileUpdate(
            event_id=new_id(), user_id=user_id, kind="forget", occurred_at=self._context.clients.now_ms()
        )
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def retrieve(self, request: Request) -> Response:
        """Request prefetching and a new ranking for a user."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _retrieve)).record(now_ms)
        await self._context.publish(TRIGGERS, [event])
        return accepted(event.event_id)

    async def retrieve_batch(self, request: Request) -> Response:
        """Request prefetching and a new ranking for many users; invalid ids are reported and skipped."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        body = await parse_body(request, _retrieve_batch, settings.api_max_body_bytes)
        check_count("user_ids", body.user_ids, settings.api_max_batch)
        first_index: dict[str, int] = {}  # each user once, with the first index
        for index, user_id in enumerate(body.user_ids):
            first_index.setdefault(user_id, index)
        return await publish_each(
            self._context,
            TRIGGERS,
            ((index, user_id) for user_id, index in first_index.items()),
            lambda user_id: RetrieveBody(user_id=user_id, reason=body.reason).record(now_ms),
        )

    async def _event(self, request: Request, decoder: msgspec.json.Decoder[B]) -> B:
        return await parse_body(request, decoder, min(EVENT_BYTES, self._context.settings.api_max_body_bytes))


def _entries(data: bytes) -> Sequence[msgspec.Raw | bytes]:
    """Return the entries of a batch, even if one of them contains invalid text, such as a lone surrogate.

    Raises:
        MalformedError, InvalidError
    """
    try:
        return decode(_batch, data).interactions
    except MalformedError as error:
        try:
            lenient = msgspec.convert(json.loads(data.decode()), _LenientBatch)
        except (ValueError, RecursionError, msgspec.ValidationError):
            raise error from None
        return [json.dumps(entry).encode() for entry in lenient.interactions]


def _batched(entry: msgspec.Raw | bytes) -> InteractionBody:
    if len(memoryview(entry)) > EVENT_BYTES:
        raise InvalidError(None, TooLargeError(EVENT_BYTES).message)
    return decode(_interaction, entry)


def _publishes(
    path: str,
    handler: Handler,
    body: Any,
    example: Any,
    *,
    answers: Mapping[int, Any] | None = None,
    errors: tuple[type[ApiError], ...] = (BrokerUnavailableError,),
) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        handler,
        body=body,
        example=example,
        answers=answers or {202: Accepted},
        errors=errors,
    )
