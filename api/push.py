"""Pushes: devices, preferences and notifications are published as requests; what was decided is read.

Nothing is decided or sent here. An answer of 202 says that the request is in its topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.body import admit, decode, new_id, read
from api.content import limit_in, user_in
from api.context import Context
from api.error import InvalidError, NoDevicesError
from api.publish import EVENT_BYTES
from infra.push_store import KEPT
from schemas.types import Devices, PushPreferences, PushRequest
from topics.topic import PUSH_REQUESTS

B = TypeVar("B")


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /push/unregister; the same event_id is answered once."""

    user_id: str
    token: str
    event_id: str | None = None


class RegisterBody(DeviceBody, frozen=True, kw_only=True):
    """POST /push/register; preferences that are left out stay as they are."""

    platform: Literal["android", "ios", "web"]
    preferences: PushPreferences | None = None


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a notification says: a title, or an item that has one."""

    title: str = ""
    body: str = ""
    item_id: str | None = None
    category: str = ""
    event_id: str | None = None


class SendBody(MessageBody, frozen=True, kw_only=True):
    """POST /push/send and /notifications/send."""

    user_id: str


class BatchBody(MessageBody, frozen=True, kw_only=True):
    """POST /push/batch: the same to many users."""

    user_ids: list[str]


_device = msgspec.json.Decoder(DeviceBody)
_register = msgspec.json.Decoder(RegisterBody)
_preferences = msgspec.json.Decoder(PushPreferences)
_send = msgspec.json.Decoder(SendBody)
_batch = msgspec.json.Decoder(BatchBody)


class PushEndpoints:
    """The endpoints on pushes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def routes(self) -> Sequence[BaseRoute]:
        """Return their routes."""
        return [
            Route("/push/register", self.register, methods=["POST"]),
            Route("/push/unregister", self.unregister, methods=["POST"]),
            Route("/push/preferences/{user_id}", self.show, methods=["GET"]),
            Route("/push/preferences/{user_id}", self.prefer, methods=["PUT"]),
            Route("/push/send", self.send, methods=["POST"]),
            Route("/push/batch", self.batch, methods=["POST"]),
            Route("/notifications/send", self.send, methods=["POST"]),
            Route("/notifications/{user_id}", self.decisions, methods=["GET"]),
        ]

    async def register(self, request: Request) -> Response:
        """Take a device, with what its user wants to be pushed."""
        body = await self._body(request, _register)
        [event_id] = await self._publish(
            [body.user_id],
            event_id=body.event_id,
            kind="register",
            token=body.token,
            platform=body.platform,
            preferences=body.preferences,
        )
        return _answer({"event_id": event_id}, 202)

    async def unregister(self, request: Request) -> Response:
        """Take a device off, as when its user logs out."""
        body = await self._body(request, _device)
        [event_id] = await self._publish([body.user_id], event_id=body.event_id, kind="unregister", token=body.token)
        return _answer({"event_id": event_id}, 202)

    async def prefer(self, request: Request) -> Response:
        """Take preferences in place of those that hold."""
        user_id = user_in(request.path_params["user_id"])
        preferences = await self._body(request, _preferences)
        [event_id] = await self._publish([user_id], event_id=None, kind="preferences", preferences=preferences)
        return _answer({"event_id": event_id}, 202)

    async def show(self, request: Request) -> Response:
        """Answer with a user's preferences and devices, without the tokens of these."""
        user_id = user_in(request.path_params["user_id"])
        devices = await self._context.clients.pushes.read_devices(user_id)
        if devices is None:
            raise NoDevicesError(user_id)
        return _answer(shown(devices), 200)

    async def send(self, request: Request) -> Response:
        """Ask for a notification to one user."""
        body = await self._body(request, _send)
        [event_id] = await self._publish([body.user_id], **_message(body))
        return _answer({"event_id": event_id}, 202)

    async def batch(self, request: Request) -> Response:
        """Ask for the same notification to many users: to all of them, or to none when one cannot be."""
        body = decode(_batch, await read(request, self._context.settings.api_max_body_bytes))
        most = self._context.settings.api_max_batch
        if not 1 <= len(body.user_ids) <= most:
            raise InvalidError("user_ids", f"must have 1 to {most} entries, not {len(body.user_ids)}")
        event_ids = await self._publish(body.user_ids, **_message(body))
        return _answer({"accepted": len(event_ids), "event_ids": event_ids}, 202)

    async def decisions(self, request: Request) -> Response:
        """Answer with what was decided of a user's notifications, newest first."""
        user_id = user_in(request.path_params["user_id"])
        limit = min(limit_in(request.query_params), KEPT)
        found = await self._context.clients.pushes.read_notifications(user_id, limit)
        return _answer({"user_id": user_id, "notifications": found}, 200)

    async def _body(self, request: Request, decoder: msgspec.json.Decoder[B]) -> B:
        return decode(decoder, await read(request, min(EVENT_BYTES, self._context.settings.api_max_body_bytes)))

    async def _publish(self, user_ids: Sequence[str], *, event_id: str | None, **fields: Any) -> list[str]:
        """Publish the same request for some users, and return the ids of their events."""
        now_ms = self._context.clients.now_ms()
        events = [
            PushRequest(event_id=event_id or new_id(), user_id=user_id, occurred_at=now_ms, **fields)
            for user_id in user_ids
        ]
        for event in events:
            admit(event, now_ms)
        await self._context.publish(PUSH_REQUESTS, events)
        return [event.event_id for event in events]


def shown(devices: Devices) -> dict[str, Any]:
    """Return devices and preferences as clients see them: who knows a token can push to its device."""
    return {
        "user_id": devices.user_id,
        "preferences": devices.preferences,
        "devices": [{"platform": device.platform, "registered_at": device.registered_at} for device in devices.devices],
        "changed_at": devices.changed_at,
    }


def _message(body: MessageBody) -> dict[str, Any]:
    return {"kind": "send", **{name: getattr(body, name) for name in MessageBody.__struct_fields__}}


def _answer(body: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(body), status, {"Cache-Control": "no-store"}, "application/json")
