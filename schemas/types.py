"""The records of `schemas/records/` as frozen types; made by `python -m schemas.generate`, do not edit."""

from __future__ import annotations

from typing import Literal

import msgspec


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that could not be used, as it was."""

    letter_id: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None = None
    value: bytes | None = None
    headers: dict[str, bytes] = msgspec.field(default_factory=dict)
    stage: str
    reason: str
    detail: str = ""
    failed_at: int


class RecentItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of the last items."""

    item_id: str
    weight: float
    at: int


class Features(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's feature snapshot."""

    user_id: str
    version: int
    watermark: int
    event_count: int
    segment: str = ""
    preferred: list[str] = msgspec.field(default_factory=list)
    muted: list[str] = msgspec.field(default_factory=list)
    categories: dict[str, float] = msgspec.field(default_factory=dict)
    topics: dict[str, float] = msgspec.field(default_factory=dict)
    sources: dict[str, float] = msgspec.field(default_factory=dict)
    hours: list[float] = msgspec.field(default_factory=list)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    recent: list[RecentItem] = msgspec.field(default_factory=list)
    seen: list[str] = msgspec.field(default_factory=list)
    queries: list[str] = msgspec.field(default_factory=list)
    cell: str | None = None
    visits: dict[str, int] = msgspec.field(default_factory=dict)


class Feed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's ranked feed as written to the store. Columns of equal length, best item first."""

    user_id: str
    features_version: int
    generated_at: int
    watermark: int
    model: str
    items: list[str]
    scores: list[float]
    sources: list[str]
    reasons: list[str]
    parts: dict[str, list[float]] = msgspec.field(default_factory=dict)
    propensities: list[float] = msgspec.field(default_factory=list)


class ShownItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item shown."""

    item_id: str
    position: int
    propensity: float | None = None


class Impression(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was shown to a user."""

    event_id: str
    user_id: str
    request_id: str | None = None
    items: list[ShownItem]
    surface: str = ""
    occurred_at: int


Action = Literal[
    "unknown",
    "view",
    "click",
    "like",
    "dislike",
    "share",
    "save",
    "skip",
    "hide",
    "rate",
    "inspired",
    "search",
    "purchase",
]


class Interaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing a user did."""

    event_id: str
    user_id: str
    item_id: str | None = None
    action: Action
    occurred_at: int
    value: float | None = None
    query: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    context: dict[str, str] = msgspec.field(default_factory=dict)


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entry of the catalogue."""

    item_id: str
    category: str
    title: str
    description: str = ""
    topics: list[str] = msgspec.field(default_factory=list)
    source: str = ""
    url: str | None = None
    image_url: str | None = None
    city: str | None = None
    cell: str | None = None
    price: float | None = None
    created_at: int
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


class ItemNeighbors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes with an item: decayed sums of how often others were near it in people's histories."""

    item_id: str
    neighbors: list[str]
    scores: list[float]
    watermark: int
    follows: list[float] = msgspec.field(default_factory=list)
    mass: float = 0.0
    reference: int = 0


class ItemSignal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one folded interaction meant for its item."""

    event_id: str
    item_id: str
    action: Action
    weight: float
    segment: str = ""
    occurred_at: int
    source_partition: int
    source_offset: int
    source_timestamp: int
    rating: float | None = None
    nth: int = 0


class ItemStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an item is doing; decayed sums are kept as natural logarithms so that they never overflow."""

    item_id: str
    trending: float
    popularity: float
    segments: dict[str, float] = msgspec.field(default_factory=dict)
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    watermark: int
    horizons: list[float] = msgspec.field(default_factory=list)
    cohorts: list[float] = msgspec.field(default_factory=list)
    rating_sum: float = 0.0
    rating_count: int = 0
    first_at: int = 0


class ItemWeights(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a liking of an item says of others, as fitted by the trainer; negative against them."""

    item_id: str
    model_version: str
    others: list[str]
    weights: list[float]


class Location(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a user is, coarsened to an H3 cell before it was written."""

    event_id: str
    user_id: str
    cell: str
    resolution: int
    occurred_at: int


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of what the trainer learned for everyone, as it went into service or was refused."""

    model: str
    version: str
    created_at: int
    watermark: int
    status: str
    reason: str = ""
    events: int
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    parts: list[str] = msgspec.field(default_factory=list)
    weights: list[float] = msgspec.field(default_factory=list)
    squares: list[float] = msgspec.field(default_factory=list)


class Profile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user told us of themselves; replaces the profile before it."""

    event_id: str
    user_id: str
    segment: str = ""
    categories: list[str] = msgspec.field(default_factory=list)
    topics: list[str] = msgspec.field(default_factory=list)
    muted: list[str] = msgspec.field(default_factory=list)
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    occurred_at: int


TriggerKind = Literal[
    "unknown",
    "time",
    "location",
    "refresh",
    "rerank",
    "retrain",
    "erase",
]


class Trigger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that should happen for a user."""

    event_id: str
    user_id: str
    kind: TriggerKind
    reason: str = ""
    candidates: list[str] = msgspec.field(default_factory=list)
    request_id: str | None = None
    occurred_at: int
