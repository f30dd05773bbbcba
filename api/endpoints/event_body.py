"""Bodies of events, and the records that they become. Unknown fields are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import h3
import msgspec
from msgspec import Meta

from api.http.body import Moment, Scalar, Values, milliseconds, new_id, texts
from api.http.error import InvalidError
from domain.zone import zone_named
from schemas import limit, types
from schemas.limit import RETRAINER

SentAction = Literal[types.Action, "ignore"]
"""Actions by the names that clients send; `ignore` is a skip."""


class EventBody(msgspec.Struct, kw_only=True, frozen=True):
    """Common fields of all events; `occurred_at` defaults to the time of the request."""

    user_id: str
    event_id: str | None = None
    occurred_at: Moment | None = None


class InteractionBody(EventBody, frozen=True, kw_only=True):
    """POST /interaction; `interaction_type` is an alias of `action`, and the action `ignore` of `skip`.

    A rating is from 0 to the setting RATING_SCALE (5 by default). It is an alias of `value`. With
    another positive action it says how much the user liked the item: the lowest rating counts against it.
    """

    action: SentAction | None = None
    interaction_type: SentAction | None = None
    item_id: str | None = None
    value: float | None = None
    rating: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    device_type: str | None = None
    context: Values = None

    def record(self, now_ms: int) -> types.Interaction:
        """Return the record to publish."""
        action = self.action or self.interaction_type
        if action is None:
            raise InvalidError("action", "is missing")
        if action == "unknown":
            raise InvalidError("action", "must be a known action")
        device = {} if self.device_type is None else {"device_type": self.device_type}
        rating = {} if action == "rate" else texts({"rating": self.rating})
        return types.Interaction(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            item_id=self.item_id,
            action="skip" if action == "ignore" else action,
            occurred_at=_ms(self.occurred_at, now_ms),
            value=self.rating if self.value is None else self.value,
            query=self.query,
            session_id=self.session_id,
            request_id=self.request_id,
            context=device | texts(self.context) | rating,
        )


class BatchBody(msgspec.Struct, frozen=True):
    """POST /interaction/batch. Entries are decoded one by one, so that each invalid one can be reported."""

    interactions: list[msgspec.Raw]


class ShownBody(msgspec.Struct, frozen=True):
    """One shown item; its position defaults to its index in the list."""

    item_id: str
    position: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    propensity: float | None = None


class ImpressionBody(EventBody, frozen=True, kw_only=True):
    """POST /impression."""

    items: list[ShownBody]
    request_id: str | None = None
    surface: str = ""

    def record(self, now_ms: int) -> types.Impression:
        """Return the record to publish."""
        return types.Impression(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            request_id=self.request_id,
            items=[
                types.ShownItem(
                    item_id=item.item_id,
                    position=index if item.position is None else item.position,
                    propensity=item.propensity,
                )
                for index, item in enumerate(self.items)
            ],
            surface=self.surface,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class LocationBody(EventBody, frozen=True, kw_only=True):
    """POST /location. The coordinates leave this object only as an H3 cell."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]

    def __repr__(self) -> str:
        return f"LocationBody(user_id={self.user_id!r}, lat=…, lon=…)"

    def record(self, now_ms: int, *, resolution: int) -> types.Location:
        """Return the record to publish, with the coordinates coarsened to an H3 cell of a resolution (0 to 15)."""
        return types.Location(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            cell=h3.latlng_to_cell(self.lat, self.lon, resolution),
            resolution=resolution,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class PreferencesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Stated preferences; omitted fields stay unchanged."""

    categories: list[str] | msgspec.UnsetType = msgspec.UNSET
    topics: list[str] | msgspec.UnsetType = msgspec.UNSET
    muted: list[str] | msgspec.UnsetType = msgspec.UNSET  # wire
    """Items, categories and topics to hide."""
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET
    city: str | msgspec.UnsetType | None = msgspec.UNSET


class ProfilePatch(PreferencesBody, frozen=True, kw_only=True):
    """PATCH /profile/{user_id}; omitted fields stay unchanged."""

    segment: str | msgspec.UnsetType = msgspec.UNSET
    locale: str | msgspec.UnsetType | None = msgspec.UNSET
    attributes: dict[str, str | int | float | bool] | msgspec.UnsetType = msgspec.UNSET


class ProfileBody(EventBody, frozen=True, kw_only=True):
    """POST /profile; it replaces the previous profile."""

    segment: str = ""
    categories: list[str] = []
    topics: list[str] = []
    muted: list[str] = []  # wire
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, Scalar] | None = None

    def record(self, now_ms: int) -> types.ProfileUpdate:
        """Return the record to publish."""
        fields = {name: getattr(self, name) for name in limit.PROFILE_FIELDS}
        return profile_update(self.user_id, fields, _ms(self.occurred_at, now_ms), event_id=self.event_id)


class RetrieveBody(EventBody, frozen=True, kw_only=True):
    """POST /retrieve: prefetch missing content for this user, then rank."""

    reason: str = ""
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            kind="refresh",
            reason=self.reason,
            request_id=self.request_id,
            occurred_at=_ms(self.occurred_at, now_ms),
        )


class RetrieveBatchBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /retrieve/batch: prefetch and rank for many users."""

    user_ids: list[str]
    reason: str = ""


class RerankBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /results/re-rank: rank the given items for a user; the same event_id returns the same result."""

    user_id: str
    candidates: list[str]
    event_id: str | None = None
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=self.user_id,
            kind="rerank",
            candidates=list(dict.fromkeys(self.candidates)),
            request_id=self.request_id,
            occurred_at=now_ms,
        )


class RetrainBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /retrain: fit the models to the complete history; a repeated event_id has no further effect."""

    event_id: str | None = None
    reason: str = ""
    request_id: str | None = None

    def record(self, now_ms: int) -> types.Trigger:
        """Return the record to publish."""
        return types.Trigger(
            event_id=self.event_id or new_id(),
            user_id=RETRAINER,
            kind="retrain",
            reason=self.reason,
            request_id=self.request_id,
            occurred_at=now_ms,
        )


def changes_of(patch: msgspec.Struct) -> dict[str, Any]:
    """Return the fields that a patch changes, by name."""
    fields = ((name, getattr(patch, name)) for name in patch.__struct_fields__)
    return {name: value for name, value in fields if value is not msgspec.UNSET}


def profile_update(
    user_id: str, changes: Mapping[str, Any], at_ms: int, *, event_id: str | None = None
) -> types.ProfileUpdate:
    """Return the record that changes some fields of a profile.

    Args:
        user_id: The profile's user.
        changes: New values by field name (`schemas.limit.PROFILE_FIELDS`).
        at_ms: The time of the change, in ms since the epoch.
        event_id: The id of the event; a new one by default.

    Raises:
        InvalidError: there are no changes, or the time zone is unknown.
    """
    if not changes:
        raise InvalidError(None, f"state at least one of {', '.join(limit.PROFILE_FIELDS)}")
    if changes.get("timezone") is not None and zone_named(changes["timezone"]) is None:
        raise InvalidError("timezone", "must be the IANA name of a time zone, such as Europe/Lisbon")
    values = {**changes, "attributes": texts(changes.get("attributes", {}))}
    return types.ProfileUpdate(
        event_id=event_id or new_id(),
        user_id=user_id,
        kind="update",
        fields=list(changes),
        occurred_at=at_ms,
        **values,
    )


def _ms(time: Moment | None, now_ms: int) -> int:
    return now_ms if time is None else milliseconds(time)
