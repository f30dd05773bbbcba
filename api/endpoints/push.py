"""Push endpoints: devices, preferences and notifications are published as requests; decisions are read.

The push role decides and sends. A 202 response means that the request was published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.endpoints.event_body import changes_of
from api.endpoints.publish import EVENT_BYTES
from api.http.batch import ANSWERS, ERRORS, publish_each
from api.http.body import check_count, new_id, parse_body
from api.http.endpoint import Endpoint, Handler, Scope
from api.http.error import (
    ApiError,
    BrokerUnavailableError,
    ChangedError,
    InvalidError,
    NoDevicesError,
    StoreUnavailableError,
)
from api.http.precondition import entity_tag, matching_state
from api.http.query import LimitQuery, parse_query, validate_user_id
from api.http.response import Accepted, accepted, json_response
from infra.redis.stores.push_store import MAX_NOTIFICATIONS
from schemas.limit import PUSH_FIELDS
from schemas.types import Devices, Notification, PushPreferences, PushRequest, QuietHours
from topics.topic import PUSH_REQUESTS

B = TypeVar("B")


class DeviceBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /push/unregister; a repeated event_id has no further effect."""

    user_id: str
    token: str
    event_id: str | None = None


class RegisterBody(DeviceBody, frozen=True, kw_only=True):
    """POST /push/register; omitted preferences stay unchanged."""

    platform: Literal["android", "ios", "web"]
    preferences: PushPreferences | None = None


class PushPatch(msgspec.Struct, frozen=True, kw_only=True):
    """PATCH /push/preferences/{user_id}; omitted fields stay unchanged, null restores the default."""

    categories: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    quiet_hours: QuietHours | msgspec.UnsetType | None = msgspec.UNSET
    value_threshold: float | msgspec.UnsetType | None = msgspec.UNSET


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a notification: a title, or an item that has one."""

    title: str = ""
    body: str = ""
    item_id: str | None = None
    category: str = ""
    event_id: str | None = None


class SendBody(MessageBody, frozen=True, kw_only=True):
    """POST /push/send and /notifications/send."""

    user_id: str


class SendBatchBody(MessageBody, frozen=True, kw_only=True):
    """POST /push/batch: one notification to many users."""

    user_ids: list[str]


class ShownDevice(msgspec.Struct, frozen=True):
    """A device without its token."""

    platform: str
    registered_at: int


class PushTargets(msgspec.Struct, frozen=True):
    """A user's devices and push preferences."""

    user_id: str
    preferences: PushPreferences
    devices: list[ShownDevice]
    changed_at: int


class PushDecisions(msgspec.Struct, frozen=True):
    """The decisions on a user's notifications, newest first."""

    user_id: str
    notifications: list[Notification]


_DEVICE = {"user_id": "alex", "token": "a-token-of-the-device"}
_PREFERENCES = {
    "quiet_hours": {"start": "22:00", "end": "08:00", "timezone": "Europe/Lisbon"},
    "categories": ["music"],
}
_SAYS = {"title": "Tonight: a concert near you", "category": "music"}
_MESSAGE = {"user_id": "alex", **_SAYS}
_MESSAGES = {"user_ids": ["alex", "kim"], **_SAYS}
_device = msgspec.json.Decoder(DeviceBody)
_register = msgspec.json.Decoder(RegisterBody)
_preferences = msgspec.json.Decoder(PushPreferences)
_patch = msgspec.json.Decoder(PushPatch)
_send = msgspec.json.Decoder(SendBody)
_batch = msgspec.json.Decoder(SendBatchBody)


class PushEndpoints:
    """Endpoints of push notifications."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            _asks("/push/register", self.register, RegisterBody, {**_DEVICE, "platform": "web"}),
            _asks("/push/unregister", self.unregister, DeviceBody, _DEVICE),
            Endpoint(
                "GET",
                "/push/preferences/{user_id}",
                self.show,
                answers={200: PushTargets},
                errors=(NoDevicesError, StoreUnavailableError),
            ),
            Endpoint(
                "PUT",
                "/push/preferences/{user_id}",
                self.prefer,
                body=PushPreferences,
                example=_PREFERENCES,
                answers={202: Accepted},
                errors=(BrokerUnavailableError, ChangedError, StoreUnavailableError),
            ),
            Endpoint(
                "PATCH",
                "/push/preferences/{user_id}",
                self.change,
                body=PushPatch,
                example={"categories": ["music"]},
                answers={202: Accepted},
                errors=(BrokerUnavailableError, ChangedError, StoreUnavailableError),
            ),
            _asks("/push/send", self.send, SendBody, _MESSAGE, scope="service"),
            _asks("/push/batch", self.batch, SendBatchBody, _MESSAGES, scope="service", answers=ANSWERS, errors=ERRORS),
            _asks("/notifications/send", self.send, SendBody, _MESSAGE, scope="service"),
            Endpoint(
                "GET",
                "/notifications/{user_id}",
                self.decisions,
                query=LimitQuery,
                answers={200: PushDecisions},
                errors=(StoreUnavailableError,),
            ),
        ]

    async def register(self, request: Request) -> Response:
        """Register a device, optionally with push preferences."""
        body = await self._body(request, _register)
        [event_id] = await self._publish(
            [body.user_id],
            event_id=body.event_id,
            kind="register",
            token=body.token,
            platform=body.platform,
            preferences=body.preferences,
        )
        return accepted(event_id)

    async def unregister(self, request: Request) -> Response:
        """Unregister a device, for example when its user logs out."""
        body = await self._body(request, _device)
        [event_id] = await self._publish([body.user_id], event_id=body.event_id, kind="unregister", token=body.token)
        return accepted(event_id)

    async def prefer(self, request: Request) -> Response:
        """Replace a user's push preferences; with If-Match only if they have not changed in the meantime."""
        return await self._prefer(request, _preferences)

    async def change(self, request: Request) -> Response:
        """Change some push preferences; omitted ones stay unchanged. If-Match works as for PUT."""
        return await self._prefer(request, _patch)

    async def _prefer(self, request: Request, decoder: msgspec.json.Decoder[Any]) -> Response:
        user_id = validate_user_id(request.path_params["user_id"])
        changes = changes_of(await self._body(request, decoder))
        if not changes:
            raise InvalidError(None, f"state at least one of {', '.join(PUSH_FIELDS)}")
        now_ms, tag = self._context.clients.now_ms(), None
        event = PushRequest(
            event_id=new_id(),
            user_id=user_id,
            kind="preferences",
            preferences=PushPreferences(**changes),
            fields=list(changes),
            occurred_at=now_ms,
        )
        event = self._context.validated(event)
        if "if-match" in request.headers:
            preferences = await matching_state(request, lambda: self._preferences(user_id))
            tag = entity_tag(replace(preferences, **{name: getattr(event.preferences, name) for name in changes}))
        await self._context.send(PUSH_REQUESTS, [event])
        return json_response(Accepted(event.event_id), 202, tag=tag)

    async def _preferences(self, user_id: str) -> PushPreferences:
        devices = await self._context.clients.push_store.read_devices(user_id)
        return PushPreferences() if devices is None else devices.preferences

    async def show(self, request: Request) -> Response:
        """Return a user's push preferences and devices, without the device tokens."""
        user_id = validate_user_id(request.path_params["user_id"])
        devices = await self._context.clients.push_store.read_devices(user_id)
        if devices is None:
            raise NoDevicesError(user_id)
        return json_response(shown(devices), tag=entity_tag(devices.preferences))

    async def send(self, request: Request) -> Response:
        """Request a notification to one user."""
        body = await self._body(request, _send)
        [event_id] = await self._publish([body.user_id], **_message(body))
        return accepted(event_id)

    async def batch(self, request: Request) -> Response:
        """Request one notification to many users; invalid ids are reported and skipped."""
        body = await parse_body(request, _batch, self._context.settings.api_max_body_bytes)
        check_count("user_ids", body.user_ids, self._context.settings.api_max_batch)
        entries, message = enumerate(body.user_ids), _message(body)
        return await publish_each(
            self._context, PUSH_REQUESTS, entries, lambda user_id: self._request(user_id, **message)
        )

    async def decisions(self, request: Request) -> Response:
        """Return the decisions on a user's notifications, newest first."""
        user_id = validate_user_id(request.path_params["user_id"])
        limit = min(parse_query(request, LimitQuery).limit, MAX_NOTIFICATIONS)
        decisions = await self._context.clients.push_store.read_notifications(user_id, limit)
        return json_response(PushDecisions(user_id, decisions))

    async def _body(self, request: Request, decoder: msgspec.json.Decoder[B]) -> B:
        return await parse_body(request, decoder, min(EVENT_BYTES, self._context.settings.api_max_body_bytes))

    async def _publish(self, user_ids: Sequence[str], **fields: Any) -> list[str]:
        """Publish one request per user and return the event ids."""
        events = [self._request(user_id, **fields) for user_id in user_ids]
        await self._context.publish(PUSH_REQUESTS, events)
        return [event.event_id for event in events]

    def _request(self, user_id: str, *, event_id: str | None, **fields: Any) -> PushRequest:
        now_ms = self._context.clients.now_ms()
        return PushRequest(event_id=event_id or new_id(), user_id=user_id, occurred_at=now_ms, **fields)


def shown(devices: Devices) -> PushTargets:
    """Return devices and preferences without device tokens, since a token allows pushing to its device."""
    return PushTargets(
        devices.user_id,
        devices.preferences,
        [ShownDevice(device.platform, device.registered_at) for device in devices.devices],
        devices.changed_at,
    )


def _message(body: MessageBody) -> dict[str, Any]:
    return {"kind": "send", **{name: getattr(body, name) for name in MessageBody.__struct_fields__}}


def _asks(
    path: str,
    handler: Handler,
    body: Any,
    example: Any,
    *,
    scope: Scope = "user",
    answers: Mapping[int, Any] | None = None,
    errors: tuple[type[ApiError], ...] = (BrokerUnavailableError,),
) -> Endpoint:
    answers = answers or {202: Accepted}
    return Endpoint("POST", path, handler, scope=scope, body=body, example=example, answers=answers, errors=errors)
