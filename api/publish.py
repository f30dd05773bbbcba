"""Taking events in: each is validated, published, and answered with 202 once the broker has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.body import (
    BatchBody,
    ImpressionBody,
    InteractionBody,
    LocationBody,
    ProfileBody,
    RetrieveBatchBody,
    RetrieveBody,
    admit,
    decode,
    read,
)
from api.context import Context
from api.error import InvalidBatchError, InvalidError, TooLargeError
from schemas.types import Interaction
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILES, TRIGGERS

EVENT_BYTES = 256 << 10
"""Largest body of one event; brokers take messages of some 1 MB."""

_interaction = msgspec.json.Decoder(InteractionBody)
_batch = msgspec.json.Decoder(BatchBody)
_impression = msgspec.json.Decoder(ImpressionBody)
_location = msgspec.json.Decoder(LocationBody)
_profile = msgspec.json.Decoder(ProfileBody)
_retrieve = msgspec.json.Decoder(RetrieveBody)
_retrieve_batch = msgspec.json.Decoder(RetrieveBatchBody)


class PublishEndpoints:
    """The endpoints that publish."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> Sequence[BaseRoute]:
        """Return their routes."""
        return [
            Route("/interaction", self.interaction, methods=["POST"]),
            Route("/interaction/batch", self.batch, methods=["POST"]),
            Route("/impression", self.impression, methods=["POST"]),
            Route("/location", self.location, methods=["POST"]),
            Route("/profile", self.profile, methods=["POST"]),
            Route("/retrieve", self.retrieve, methods=["POST"]),
            Route("/retrieve/batch", self.retrieve_batch, methods=["POST"]),
        ]

    async def interaction(self, request: Request) -> Response:
        """Take one interaction."""
        now_ms = self._context.clients.now_ms()
        event = decode(_interaction, await self._event(request)).record(now_ms)
        admit(event, now_ms)
        await self._context.publish(INTERACTIONS, [event])
        return _accepted({"event_id": event.event_id})

    async def batch(self, request: Request) -> Response:
        """Take many interactions: all of them, or none when one is bad."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        entries = decode(_batch, await read(request, settings.api_max_body_bytes)).interactions
        if not 1 <= len(entries) <= settings.api_max_batch:
            raise InvalidError("interactions", f"must have 1 to {settings.api_max_batch} entries, not {len(entries)}")
        events: list[Interaction] = []
        problems: list[tuple[int, InvalidError]] = []
        for index, entry in enumerate(entries):
            try:
                events.append(_batched(entry, now_ms))
            except InvalidError as error:
                problems.append((index, error))
        if problems:
            raise InvalidBatchError(len(entries), problems)
        await self._context.publish(INTERACTIONS, events)
        return _accepted({"accepted": len(events), "event_ids": [event.event_id for event in events]})

    async def impression(self, request: Request) -> Response:
        """Take what was shown to a user."""
        now_ms = self._context.clients.now_ms()
        event = decode(_impression, await self._event(request)).record(now_ms)
        admit(event, now_ms)
        await self._context.publish(IMPRESSIONS, [event])
        return _accepted({"event_id": event.event_id})

    async def location(self, request: Request) -> Response:
        """Take where a user is, coarsened to a cell before it goes anywhere."""
        now_ms = self._context.clients.now_ms()
        body = decode(_location, await self._event(request))
        event = body.record(now_ms, resolution=self._context.settings.location_resolution)
        admit(event, now_ms)
        await self._context.publish(LOCATIONS, [event])
        return _accepted({"event_id": event.event_id, "cell": event.cell})

    async def profile(self, request: Request) -> Response:
        """Take what a user says of themselves."""
        now_ms = self._context.clients.now_ms()
        event = decode(_profile, await self._event(request)).record(now_ms)
        admit(event, now_ms)
        await self._context.publish(PROFILES, [event])
        return _accepted({"event_id": event.event_id})

    async def retrieve(self, request: Request) -> Response:
        """Ask for a fresh feed."""
        now_ms = self._context.clients.now_ms()
        event = decode(_retrieve, await self._event(request)).record(now_ms)
        admit(event, now_ms)
        await self._context.publish(TRIGGERS, [event])
        return _accepted({"event_id": event.event_id})

    async def retrieve_batch(self, request: Request) -> Response:
        """Ask for fresh feeds of many users: all of them, or none when one is bad."""
        settings = self._context.settings
        now_ms = self._context.clients.now_ms()
        body = decode(_retrieve_batch, await read(request, settings.api_max_body_bytes))
        if not 1 <= len(body.user_ids) <= settings.api_max_batch:
            raise InvalidError("user_ids", f"must have 1 to {settings.api_max_batch} entries, not {len(body.user_ids)}")
        events = body.records(now_ms)
        for event in events:
            admit(event, now_ms)
        await self._context.publish(TRIGGERS, events)
        return _accepted({"accepted": len(events), "event_ids": [event.event_id for event in events]})

    async def _event(self, request: Request) -> bytes:
        return await read(request, min(EVENT_BYTES, self._context.settings.api_max_body_bytes))


def _batched(entry: msgspec.Raw, now_ms: int) -> Interaction:
    if len(memoryview(entry)) > EVENT_BYTES:
        raise InvalidError(None, TooLargeError(EVENT_BYTES).message)
    event = decode(_interaction, entry).record(now_ms)
    admit(event, now_ms)
    return event


def _accepted(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), 202, {"Cache-Control": "no-store"}, "application/json")
