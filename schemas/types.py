"""The records of `schemas/records/` as frozen types; made by `python -m schemas.generate`, do not edit."""

from __future__ import annotations

from typing import Literal

import msgspec

AuditKind = Literal[
    "unknown",
    "admin_call",
    "recommendations_served",
]


class Audit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who did what through the API; what was served is named by version, not repeated."""

    audit_id: str
    kind: AuditKind
    actor: str
    user_id: str
    request_id: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    version: str = ""
    model: str = ""
    count: int = 0
    fallback: bool = False
    occurred_at: int


class FoundItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item found."""

    item_id: str
    reason: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was fetched for a user in one category; replaces what was fetched before."""

    request_id: str
    user_id: str
    category: str
    reason: str = ""
    source: str
    fallback: str = ""
    items: list[FoundItem] = msgspec.field(default_factory=list)
    cell: str | None = None
    city: str | None = None
    prompt_version: str = ""
    prompt_hash: str = ""
    requested_at: int
    occurred_at: int


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that could not be used, or a record that could not be written, as it was."""

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


Platform = Literal[
    "unknown",
    "android",
    "ios",
    "web",
]


class Device(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One device of a user."""

    token: str
    platform: Platform = "unknown"
    registered_at: int
    appended_at: int = 0


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hours of the day in which nothing is pushed, by the clock of a place."""

    start: str
    end: str
    timezone: str


class PushPreferences(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user wants to be pushed, and when."""

    categories: list[str] | None = None
    quiet_hours: QuietHours | None = None
    value_threshold: float | None = None


class Devices(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where and when a user may be reached by pushes; replaces what was there before."""

    user_id: str
    devices: list[Device]
    preferences: PushPreferences
    changed_at: int


ExperimentStatus = Literal[
    "unknown",
    "draft",
    "running",
    "paused",
    "completed",
]


class Arm(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of the ways that are compared."""

    name: str
    share: float
    parameters: dict[str, str] = msgspec.field(default_factory=dict)


class Experiment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A comparison of ways to rank, as it was defined; replaces the definition before it."""

    experiment_id: str
    name: str
    description: str = ""
    status: ExperimentStatus
    arms: list[Arm]
    metric: str = ""
    starts_at: int | None = None
    ends_at: int | None = None
    occurred_at: int


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
    city: str | None = None
    prefetched: list[str] = msgspec.field(default_factory=list)
    timezone: str = ""
    triggered_at: int = 0
    weights: dict[str, float] = msgspec.field(default_factory=dict)


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
    ml_scores: list[float] = msgspec.field(default_factory=list)
    llm_scores: dict[str, float] = msgspec.field(default_factory=dict)
    trailing: int = 0


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Content of one category that is to be fetched for a user."""

    event_id: str
    user_id: str
    category: str
    trigger_id: str
    reason: str = ""
    cell: str | None = None
    city: str | None = None
    local_time: str = ""
    about: str
    words: list[str] = msgspec.field(default_factory=list)
    known: list[str] = msgspec.field(default_factory=list)
    occurred_at: int


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
    kind: str = ""
    brand: str | None = None
    original_price: float | None = None
    rating: float | None = None
    reviews: int | None = None
    stock: int | None = None
    private: bool = False


class ItemNeighbors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What goes with an item: decayed sums of how often others were near it in people's histories."""

    item_id: str
    neighbors: list[str]
    scores: list[float]
    watermark: int
    follows: list[float] = msgspec.field(default_factory=list)
    mass: float = 0.0
    reference: int = 0


class ItemSignals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What interactions of one partition meant for an item, in the order they were folded. Columns of equal length."""

    item_id: str
    source_partition: int
    source_offsets: list[int]
    source_timestamps: list[int]
    occurred_at: list[int]
    actions: list[Action]
    weights: list[float]
    ratings: list[float | None]
    segments: list[str]
    nths: list[int]


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


class LlmCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question to a language model that was sent, and what came of it."""

    call_id: str
    user_id: str
    purpose: str
    category: str = ""
    model: str
    prompt_hash: str
    prompt_version: str
    outcome: str
    attempts: int
    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: float = 0.0
    latency_ms: int
    response: str = ""
    dropped: int = 0
    problems: list[str] = msgspec.field(default_factory=list)
    occurred_at: int


class LlmScores(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How well items fit a user, as a language model judges it. Holds all items judged by these features."""

    user_id: str
    features_version: int
    scores: dict[str, float]
    model: str
    prompt_version: str
    scored_at: int


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
    scales: list[float] = msgspec.field(default_factory=list)


NotificationStatus = Literal[
    "unknown",
    "sent",
    "quiet_hours",
    "retrying",
    "capped",
    "not_worth_it",
    "unwanted",
    "repeated",
    "unregistered",
    "expired",
    "failed",
    "not_configured",
    "withdrawn",
]


class Notification(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was decided of a notification, and why."""

    notification_id: str
    user_id: str
    status: NotificationStatus
    reason: str
    item_id: str | None = None
    category: str = ""
    title: str = ""
    body: str = ""
    link: str = ""
    value: float | None = None
    request_id: str | None = None
    due_at: int | None = None
    reached: int = 0
    decided_at: int


class Profile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user says of themselves; replaces the profile before it."""

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
    stated_at: dict[str, int] = msgspec.field(default_factory=dict)


ProfileUpdateKind = Literal[
    "unknown",
    "update",
    "forget",
]


class ProfileUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of what a user says of themselves."""

    event_id: str
    user_id: str
    kind: ProfileUpdateKind
    fields: list[str] = msgspec.field(default_factory=list)
    segment: str = ""
    categories: list[str] = msgspec.field(default_factory=list)
    topics: list[str] = msgspec.field(default_factory=list)
    muted: list[str] = msgspec.field(default_factory=list)
    timezone: str | None = None
    locale: str | None = None
    city: str | None = None
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    occurred_at: int


PushKind = Literal[
    "unknown",
    "register",
    "unregister",
    "preferences",
    "send",
    "release",
    "revoke",
]


class PushRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something about pushes that a user, an application or the clock asks for."""

    event_id: str
    user_id: str
    kind: PushKind
    token: str | None = None
    platform: Platform = "unknown"
    preferences: PushPreferences | None = None
    fields: list[str] = msgspec.field(default_factory=list)
    item_id: str | None = None
    category: str = ""
    title: str = ""
    body: str = ""
    occurred_at: int
    appended_at: int = 0


class PushToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's registration of a push token; of several users the newest registration holds."""

    token: str
    user_id: str
    registered_at: int
    appended_at: int


TriggerKind = Literal[
    "unknown",
    "time",
    "location",
    "refresh",
    "rerank",
    "retrain",
    "erase",
    "collect",
]


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is said of an item that is to be ranked, for when the catalogue does not hold it."""

    item_id: str
    category: str = ""
    title: str = ""
    text: str = ""
    topics: list[str] = msgspec.field(default_factory=list)
    source: str = ""


class Trigger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that should happen for a user."""

    event_id: str
    user_id: str
    kind: TriggerKind
    reason: str = ""
    candidates: list[str] = msgspec.field(default_factory=list)
    request_id: str | None = None
    described: list[Candidate] = msgspec.field(default_factory=list)
    context: dict[str, str] = msgspec.field(default_factory=dict)
    topic_distance: float | None = None
    occurred_at: int


class UserWeights(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user's own choices add to the weights that all users share."""

    user_id: str
    weights: dict[str, float]
    watermark: int
