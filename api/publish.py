"""Taking events in: each is validated, published, and answered with 202 once the broker has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.answer import Accepted, AcceptedBatch, accepted, accepted_batch, answer
from api.body import (
    BatchBody,
    ImpressionBody,
    InteractionBody,
    LocationBody,
    ProfileBody,
    ProfilePatch,
    RetrieveBatchBody,
    RetrieveBody,
    admit,
    changes_of,
    check_count,
    decode,
    new_id,
    profile_update,
    take,
)
from api.context import Context
from api.endpoint import Endpoint, Handler
from api.error import ApiError, BrokerAwayError, InvalidBatchError, InvalidError, TooLargeError
from api.query import user_in
from infra.settings import Settings
from schemas.types import Interaction, ProfileUpdate
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, TRIGGERS

B = TypeVar("B")

EVENT_BYTES = 256 << 10
"""Largest body of one event; brokers take messages of some 1 MB."""
PATCH_BYTES = 64 << 10
"""Largest body that changes a profile: changes add up, and the whole must fit into one message as well."""

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
_PROFILE = {"user_id": "alex", "categories": ["music"], "timezone": "Europe/Lisbon", "attributes": {"age": 31}}


class Interactions(msgspec.Struct, frozen=True):
    """POST /interaction/batch, as clients see it."""

    interactions: list[InteractionBody]


class AcceptedPlace(msgspec.Struct, frozen=True):
    """The event is in its topic, with the cell in place of the coordinates."""

    event_id: str
    cell: str


class PublishEndpoints:
    """The endpoints that publish."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [
            _publishes("/interaction", self.interaction, InteractionBody, _CLICK),
            _publishes(
                "/interaction/batch",
                self.batch,
                Interactions,
                {"interactions": [_CLICK, {**_CLICK, "action": "rate", "value": 4.5}]},
                AcceptedBatch,
                InvalidBatchError,
            ),
            _publishes("/impression", self.impression, ImpressionBody, _SHOWN),
            _publishes(
                "/location", self.location, LocationBody, {"user_id": "alex", "lat": 38.7, "lon": -9.1}, AcceptedPlace
            ),
            _publishes("/profile", self.profile, ProfileBody, _PROFILE),
            Endpoint(
                "PATCH",
                "/profile/{user_id:path}",
                self.patch_profile,
                body=ProfilePatch,
                example={"muted": ["sports"]},
                answers={202: Accepted},
                errors=(BrokerAwayError,),
            ),
            Endpoint(
                "DELETE",
                "/profile/{user_id:path}",
                self.forget_profile,
                answers={202: Accepted},
                errors=(BrokerAwayError,),
            ),
            _publishes("/retrieve", self.retrieve, RetrieveBody, {"user_id": "alex", "reason": "pulled to refresh"}),
            Endpoint(
                "POST",
                "/retrieve/batch",
                self.retrieve_batch,
                scope="service",
                body=RetrieveBatchBody,
                example={"user_ids": ["alex", "kim"]},
                answers={202: AcceptedBatch},
                errors=(BrokerAwayError,),
            ),
        ]

    async def interaction(self, request: Request) -> Response:
        """Take one interaction."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _interaction)).record(now_ms)
        await self._context.publish(INTERACTIONS, [event])
        return accepted(event.event_id)

    async def batch(self, request: Request) -> Response:
        """Take many interactions: all of them, or none when one is bad."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        entries = (await take(request, _batch, settings.api_max_body_bytes)).interactions
        check_count("interactions", entries, settings.api_max_batch)
        events: list[Interaction] = []
        problems: list[tuple[int, InvalidError]] = []
        for index, entry in enumerate(entries):
            try:
                events.append(_batched(entry, now_ms, settings))
            except InvalidError as error:
                problems.append((index, error))
        if problems:
            raise InvalidBatchError(len(entries), problems)
        await self._context.send(INTERACTIONS, events)
        return accepted_batch([event.event_id for event in events])

    async def impression(self, request: Request) -> Response:
        """Take what was shown to a user."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _impression)).record(now_ms)
        await self._context.publish(IMPRESSIONS, [event])
        return accepted(event.event_id)

    async def location(self, request: Request) -> Response:
        """Take where a user is, coarsened to a cell before it goes anywhere."""
        now_ms = self._context.clients.now_ms()
        body = await self._event(request, _location)
        event = body.record(now_ms, resolution=self._context.settings.location_resolution)
        await self._context.publish(LOCATIONS, [event])
        return answer(AcceptedPlace(event.event_id, event.cell), 202)

    async def profile(self, request: Request) -> Response:
        """Take what a user says of themselves."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _profile)).record(now_ms)
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def patch_profile(self, request: Request) -> Response:
        """Take over the fields of a user's profile that are sent; the others stay as they are."""
        user_id = user_in(request.path_params["user_id"])
        patch = await take(request, _profile_patch, PATCH_BYTES)
        event = profile_update(user_id, changes_of(patch), self._context.clients.now_ms())
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def forget_profile(self, request: Request) -> Response:
        """Forget what a user has stated; what they did is not forgotten by it."""
        user_id = user_in(request.path_params["user_id"])
        event = ProfileUpdate(
            event_id=new_id(), user_id=user_id, kind="forget", occurred_at=self._context.clients.now_ms()
        )
        await self._context.publish(PROFILE_UPDATES, [event])
        return accepted(event.event_id)

    async def retrieve(self, request: Request) -> Response:
        """Ask for a fresh feed."""
        now_ms = self._context.clients.now_ms()
        event = (await self._event(request, _retrieve)).record(now_ms)
        await self._context.publish(TRIGGERS, [event])
        return accepted(event.event_id)

    async def retrieve_batch(self, request: Request) -> Response:
        """Ask for fresh feeds of many users: all of them, or none when one is bad."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        body = await take(request, _retrieve_batch, settings.api_max_body_bytes)
        check_count("user_ids", body.user_ids, settings.api_max_batch)
        events = body.records(now_ms)
        await self._context.publish(TRIGGERS, events)
        return accepted_batch([event.event_id for event in events])

    async def _event(self, request: Request, decoder: msgspec.json.Decoder[B]) -> B:
        return await take(request, decoder, min(EVENT_BYTES, self._context.settings.api_max_body_bytes))


def _batched(entry: msgspec.Raw, now_ms: int, settings: Settings) -> Interaction:
    if len(memoryview(entry)) > EVENT_BYTES:
        raise InvalidError(None, TooLargeError(EVENT_BYTES).message)
    event = decode(_interaction, entry).record(now_ms)
    return admit(event, now_ms, rating_scale=settings.rating_scale, max_age_days=settings.event_max_age_days)


def _publishes(
    path: str,
    handler: Handler,
    body: Any,
    example: Any,
    answers: Any = Accepted,
    *errors: type[ApiError],
) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        handler,
        body=body,
        example=example,
        answers={202: answers},
        errors=(BrokerAwayError, *errors),
    )
