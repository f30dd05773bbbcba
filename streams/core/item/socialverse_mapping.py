"""Mapping of collected Socialverse records: posts become items, and engagements become interactions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from domain.post import post_item_id
from domain.timestamp import epoch_ms
from schemas.codec import DecodeError
from schemas.limit import LINE_CHARS, TEXT_CHARS
from schemas.text import cleaned
from schemas.types import Action, Interaction, Item

VIDEO = "video"
ACTIONS: Mapping[str, tuple[Action, str]] = MappingProxyType(
    {
        "viewed-posts": ("view", "viewed_at"),
        "liked-posts": ("like", "liked_at"),
        "inspired-posts": ("inspired", "inspired_at"),
        "rated-posts": ("rate", "rated_at"),
    }
)
"""The action for each collection, and the field of its records with the time."""
_UNFILED = "video"
_TOPICS = 20
_PERCENT = 100.0
_MS_FROM = 1e11
"""Times from this number on are in ms, smaller ones in seconds."""


class NamedRecord(msgspec.Struct, frozen=True):
    """A category or topic of a post."""

    name: str = ""
    project_code: str | None = None


class PostRecord(msgspec.Struct, frozen=True):
    """A post of the external API; fields not listed here are ignored."""

    id: int
    title: str = ""
    username: str = ""
    category: NamedRecord | str | None = None
    topic: NamedRecord | None = None
    tags: list[str] | None = None
    description: str | None = None
    video_link: str | None = None
    thumbnail_url: str | None = None
    mood: str | None = None
    created_at: int | str | None = None


class UserRecord(msgspec.Struct, frozen=True):
    """A user of the external API; other fields than id and name are ignored."""

    id: int
    username: str


class EngagementRecord(msgspec.Struct, frozen=True):
    """A user's engagement with a post."""

    id: int
    post_id: int
    user_id: int
    viewed_at: int | str | None = None
    liked_at: int | str | None = None
    inspired_at: int | str | None = None
    rated_at: int | str | None = None
    rating_percent: float | None = None


_posts = msgspec.json.Decoder(PostRecord, strict=False)
_users = msgspec.json.Decoder(UserRecord, strict=False)
_engagements = msgspec.json.Decoder(EngagementRecord, strict=False)


def post(data: msgspec.Raw) -> Item:
    """Return the item of a post.

    Raises:
        DecodeError: the record is not a post.
    """
    record: PostRecord = _read(_posts, data)
    category = record.category.name if isinstance(record.category, NamedRecord) else record.category
    topics = [*(record.tags or ()), record.topic.name if record.topic is not None else ""]
    code = record.topic.project_code if record.topic is not None else None
    attributes = {"project_code": code, "mood": record.mood}
    return Item(
        item_id=post_item_id(record.id),
        category=_line(category or "") or _UNFILED,
        title=_line(record.title) or f"Post {record.id}",
        description=(record.description or "").strip()[:TEXT_CHARS],
        topics=[line for topic in dict.fromkeys(topics) if (line := _line(topic))][:_TOPICS],
        source=_line(record.username),
        url=_address(record.video_link),
        image_url=_address(record.thumbnail_url),
        created_at=_ms(record.created_at),
        attributes={name: _line(value) for name, value in attributes.items() if value},
        kind=VIDEO,
    )


def user(data: msgspec.Raw) -> tuple[str, str]:
    """Return the id and the name of a user.

    Raises:
        DecodeError: the record is not a user.
    """
    record: UserRecord = _read(_users, data)
    return str(record.id), record.username


def engagement(data: msgspec.Raw) -> EngagementRecord:
    """Return the engagement in a record.

    Raises:
        DecodeError: the record is not an engagement.
    """
    record: EngagementRecord = _read(_engagements, data)
    return record


def interaction(collection: str, record: EngagementRecord, username: str | None, *, rating_scale: float) -> Interaction:
    """Return the interaction of an engagement; the same engagement always gets the same event id.

    Args:
        collection: The collection of the record, a key of `ACTIONS`.
        record: The engagement.
        username: The name of its user; None if unknown.
        rating_scale: The highest rating.

    Raises:
        DecodeError: the record lacks its time or its rating.
    """
    action, field = ACTIONS[collection]
    if action == "rate" and record.rating_percent is None:
        raise DecodeError("bad_record", "rating_percent is missing")
    percent = record.rating_percent if action == "rate" else None
    return Interaction(
        event_id=f"{collection}-{record.id}",
        user_id=username or f"user-{record.user_id}",
        item_id=post_item_id(record.post_id),
        action=action,
        value=None if percent is None else percent * rating_scale / _PERCENT,
        context={"collected": collection},
        occurred_at=_ms(getattr(record, field)),
    )


def _read(decoder: msgspec.json.Decoder[Any], data: msgspec.Raw) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.DecodeError as error:
        raise DecodeError("bad_record", str(error)) from error


def _ms(timestamp: int | str | None) -> int:
    try:
        if isinstance(timestamp, str) and not timestamp.isdecimal():
            return epoch_ms(datetime.fromisoformat(timestamp))
        number = int(timestamp or "")
        return number if number >= _MS_FROM else number * 1_000
    except ValueError as error:
        raise DecodeError("bad_record", "it does not say when it was") from error


def _line(text: str) -> str:
    """Return a text as one printable line of limited length."""
    return cleaned(text)[: LINE_CHARS // 4]


def _address(url: str | None) -> str | None:
    return url[:LINE_CHARS] if url and url.startswith(("https://", "http://")) else None
