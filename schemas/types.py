"""Frozen types of the records in `schemas/records/`; made by `python -m schemas.generate`, do not edit."""

from __future__ import annotations

from typing import Literal

import msgspec

AuditKind = Literal[
    "unknown",
    "admin_call",
    "recommendations_served",
]


class Audit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Audit entry of an API call; served recommendations are referenced by version, not copied."""

    audit_id: str
    """UUIDv7 of this audit."""
    kind: AuditKind
    """Kind of audit entry."""
    actor: str
    """Subject of the caller's token; anonymous where no token was required."""
    user_id: str
    """User concerned, or the actor where no other user is concerned; the message key."""
    request_id: str = ""
    """Request id, as in logs and responses."""
    method: str = ""
    """HTTP method of an admin's call."""
    path: str = ""
    """Path of the endpoint of an admin's call, as declared."""
    status: int = 0
    """HTTP status of the response to an admin's call."""
    version: str = ""
    """Version of the feed that was served."""
    model: str = ""
    """Model that ranked the served feed."""
    count: int = 0
    """Number of items served, from the top of the feed."""
    fallback: bool = False
    """Whether the served feed was the default feed for all users."""
    occurred_at: int
    """Time of the call, in ms since the epoch."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's choice of an item from the feed that was shown, with the ranking features of all its items."""

    user_id: str
    """User id; the message key."""
    event_id: str
    """Id of the interaction that made the choice an outcome."""
    item_id: str
    """Id of the chosen item."""
    occurred_at: int
    """Time of the interaction, in ms since the epoch."""
    opened_at: int
    """Time of the first action on the item in this visit, in ms since the epoch: the feed is that of then."""
    generated_at: int
    """Time of the ranking of the feed, in ms since the epoch."""
    rank: int
    """Rank of the item, from 0, in the order that was shown; 10 beyond the first ten items."""
    items: list[str]
    """Ids of the items of the feed."""
    context: list[int]
    """Class of each context, by which the weights differ."""
    features: list[str]
    """Names of the ranking features whose values differ among the items."""
    values: bytes
    """Values of these features, feature after feature, as little-endian half-precision floats."""
    share: float
    """Weight of the choice in what all users share, from 0 to 1: lower after many actions of a day."""


class FoundItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fetched item."""

    item_id: str
    """Item id in the catalogue."""
    reason: str = ""
    """Reason for the recommendation, shown to the user."""


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Content fetched for a user in one category; replaces the content fetched before."""

    request_id: str
    """Fetch request that this answers."""
    user_id: str
    """User that the content is for; the message key."""
    category: str
    """Category of the content."""
    reason: str = ""
    """Reason given by the trigger."""
    source: str
    """Source of the answer: llm, catalogue or none."""
    fallback: str = ""
    """Reason why the language model did not answer; empty when it did."""
    items: list[FoundItem] = msgspec.field(default_factory=list)
    """Fetched items, best first."""
    cell: str | None = None
    """Coarse H3 cell where the content is valid; null for everywhere."""
    city: str | None = None
    """Name of the city where the content is valid; null for everywhere."""
    prompt_version: str = ""
    """Name, version and hash of the prompt's template."""
    prompt_hash: str = ""
    """Hash of the prompt that was sent; empty when none was."""
    requested_at: int
    """Time of the trigger, in ms since the epoch; the newest record replaces older ones."""
    occurred_at: int
    """Time of the answer, in ms since the epoch."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that could not be processed, or a record that could not be written, unchanged."""

    letter_id: str
    """topic-partition-offset of the message; topic and key hash for a record that was never written; the message
    key."""
    topic: str
    """Topic that the message was read from, or that the record was meant for."""
    partition: int
    """Partition that the message was read from; -1 for a record that was never written."""
    offset: int
    """Offset that the message was read from; -1 for a record that was never written."""
    timestamp: int
    """Broker's append time of the message, in ms since the epoch; 0 for a record that was never written."""
    key: bytes | None = None
    """The original key."""
    value: bytes | None = None
    """The original value."""
    headers: dict[str, bytes] = msgspec.field(default_factory=dict)
    """The original headers."""
    stage: str
    """Stage that failed, such as user.decode or rank.score."""
    reason: str
    """A code from the catalogue of reasons, such as unknown_schema."""
    detail: str = ""
    """Description of the failure."""
    failed_at: int
    """Time at which it was sent to the dead-letter topic, in ms since the epoch."""


Platform = Literal[
    "unknown",
    "android",
    "ios",
    "web",
]


class Device(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One device of a user."""

    token: str
    """Push token of the device."""
    platform: Platform = "unknown"
    """Platform of the device."""
    registered_at: int
    """Time of the last registration, in ms since the epoch."""
    appended_at: int = 0
    """Broker's append time of the registration, in ms since the epoch; 0 when unknown."""


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Daily hours without pushes, in a time zone."""

    start: str
    """Start, as HH:MM."""
    end: str
    """End, as HH:MM; on the next day when it is not after the start."""
    timezone: str
    """Time zone by its IANA name, such as Europe/Lisbon."""


class PushPreferences(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's push preferences."""

    categories: list[str] | None = None
    """Categories to push: all when null, none when empty."""
    quiet_hours: QuietHours | None = None
    """Hours without pushes; null for none."""
    value_threshold: float | None = None
    """Value from which a new item of the feed is pushed; null for the deployment's default."""


class Devices(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's devices and push preferences; replaces the record before."""

    user_id: str
    """User id; the message key."""
    devices: list[Device]
    """The devices, longest registered first."""
    preferences: PushPreferences
    """The user's push preferences."""
    changed_at: int
    """Time of the last change, in ms since the epoch."""


class EarlyOutcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item shown in an experiment, with what the user did with it within seconds. A repeat has the same id."""

    user_id: str
    """User id; the message key."""
    outcome_id: str
    """Event id of the impression and the place of the item in it, as EVENT_ID:PLACE."""
    item_id: str
    """Item shown."""
    place: int
    """Place of the item in the list, 0 for the first."""
    category: str = ""
    """Category of the item; empty if it is not known."""
    arms: dict[str, str] = msgspec.field(default_factory=dict)
    """Arms of the experiments that the feed was ranked under, by experiment id."""
    shown_at: int
    """Time of the impression by the client's clock, in ms since the epoch."""
    clicks: int = 0
    """Number of positive actions on the item that count for the impression, of any kind."""
    dislikes: int = 0
    """Number of the actions dislike and hide."""
    skips: int = 0
    """Number of the action skip."""
    conversions: int = 0
    """Number of purchases."""
    dwell_ms: int = 0
    """Time that the user spent on the item, in ms; 0 if it is not known."""


class EncoderVector(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Vector of an item, by a network that is served through a user encoder."""

    item_id: str
    """Item id; the message key."""
    space: str
    """Name of the vector space, MODEL/VERSION: vectors of different spaces cannot be compared."""
    vector: bytes
    """Half-precision floats (little-endian): the vector, the bias, and the context vector if the network has one."""


class EncoderVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of a network that is served through a user encoder, with the decision to serve or refuse it."""

    model: str
    """Name of the network; of a refused version, MODEL/refused. The message key."""
    version: str
    """Version of the network, increasing with time."""
    created_at: int
    """Time of the decision, in ms since the epoch."""
    watermark: int
    """Newest occurred_at learned from, in ms since the epoch."""
    status: str
    """serving or refused."""
    reason: str = ""
    """Human-readable reason for the status."""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    """NDCG@10 of the network and of its incumbent, and the number of outcomes."""
    items: int
    """Number of items with a vector in its space; 0 for a refused version."""
    parameters: bytes = b""
    """Parameters of the user encoder, as safetensors; empty for a refused version."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The erasure of a user: readers skip the user's records up to the append time of this one. It holds no id."""

    user_hash: str
    """Keyed hash of the user id; the message key."""
    key_id: str
    """Identifies the key of the hash."""
    request_id: str
    """Id of the erasure request."""
    occurred_at: int
    """Time of the request, in ms since the epoch."""


class ErasureRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to erase a user, for the roles that hold data of the user."""

    event_id: str
    """Unique id of the request."""
    user_id: str
    """User to erase; the message key."""
    occurred_at: int
    """Time of the request, in ms since the epoch."""


ExperimentStatus = Literal[
    "unknown",
    "draft",
    "running",
    "paused",
    "completed",
]


class ArmPause(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A time in which the users of an arm are ranked by the first arm."""

    paused_at: int
    """Beginning of the pause, in ms since the epoch."""
    resumed_at: int | None = None
    """End of the pause, in ms since the epoch; null while it lasts."""
    reason: str = ""
    """Reason, for people."""


class Arm(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One arm of an experiment."""

    name: str
    """Name of the arm."""
    share: float
    """Share of the users assigned to the arm, from 0 to 1."""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    """Parameters of the arm, by name."""
    pauses: list[ArmPause] = msgspec.field(default_factory=list)
    """Pauses of the arm, in the order of time."""


class Experiment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Definition of a ranking experiment; replaces the definition before."""

    experiment_id: str
    """Experiment id; the message key."""
    name: str
    """Display name."""
    description: str = ""
    """Question that the experiment answers."""
    status: ExperimentStatus
    """Status of the experiment."""
    arms: list[Arm]
    """Arms of the experiment; their shares add up to 1."""
    metric: str = ""
    """Metric that decides the experiment."""
    starts_at: int | None = None
    """Start, in ms since the epoch; null for an immediate start."""
    ends_at: int | None = None
    """End, in ms since the epoch; null for no end before completion."""
    occurred_at: int
    """Time of this definition, in ms since the epoch."""
    salt: str = ""
    """Salt of the assignment to arms; empty for the experiment id."""
    layer: str = ""
    """Layer whose buckets the experiment shares with others, so that no user is in two of them; empty for a layer of
    its own."""
    traffic_from: float = 0.0
    """First bucket of the layer whose users take part, from 0 to 1."""
    traffic_to: float = 1.0
    """End of the buckets whose users take part, itself excluded, from 0 to 1."""
    targeting: dict[str, list[str]] = msgspec.field(default_factory=dict)
    """Accepted values by attribute of users: segment, city, timezone, interest; a user needs one of each, whatever the
    case. Empty for all users."""
    winner: str = ""
    """Arm of a completed experiment whose parameters are the default for all users; empty for none."""
    promoted_at: int | None = None
    """Time of the promotion of the winner, in ms since the epoch: of two winners with a parameter in common, the later
    one has effect."""
    is_shadow: bool = False
    """Whether the arms but the first are ranked for comparison only, and never shown."""


class Exposure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The first ranking of a user under an arm of an experiment. A repeat has the same event id."""

    event_id: str
    """Id of the exposure, the same whenever it is published for this user, experiment and arm."""
    user_id: str
    """User id; the message key."""
    experiment_id: str
    """The experiment."""
    arm: str
    """Name of the arm."""
    defined_at: int
    """Version of the definition under which the user was assigned: its occurred_at, in ms since the epoch."""
    first_at: int
    """Time of the first ranking under the arm, in ms since the epoch; of repeats the earliest holds."""


class RecentItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One of the user's last items."""

    item_id: str
    """Item id."""
    weight: float
    """Strength of the interaction; negative for a dislike."""
    at: int
    """Time of the interaction, in ms since the epoch."""


class Features(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's feature snapshot."""

    user_id: str
    """User id; the message key."""
    version: int
    """Grows with each change of this user's features: append time in ms, or the last version + 1."""
    watermark: int
    """Newest occurred_at folded in, in ms since the epoch."""
    event_count: int
    """Interactions folded in."""
    segment: str = ""
    """Demographic group; empty when unknown."""
    preferred: list[str] = msgspec.field(default_factory=list)
    """Stated categories and topics, best first."""
    muted: list[str] = msgspec.field(default_factory=list)
    """Categories, topics or item ids never to show."""
    categories: dict[str, float] = msgspec.field(default_factory=dict)
    """Affinity by category, decayed to the watermark."""
    topics: dict[str, float] = msgspec.field(default_factory=dict)
    """Affinity by topic, decayed to the watermark."""
    sources: dict[str, float] = msgspec.field(default_factory=dict)
    """Affinity by source, decayed to the watermark."""
    hours: list[float] = msgspec.field(default_factory=list)
    """Decayed activity by hour of day (UTC), 24 numbers."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Interactions by action."""
    recent: list[RecentItem] = msgspec.field(default_factory=list)
    """Last items, newest first."""
    seen: list[str] = msgspec.field(default_factory=list)
    """Items the user has acted on, newest last."""
    queries: list[str] = msgspec.field(default_factory=list)
    """Last searches, newest first."""
    cell: str | None = None
    """Last known H3 cell of the user."""
    visits: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of interactions by item, for items with more than one."""
    city: str | None = None
    """Name of the user's city; null when unknown."""
    prefetched: list[str] = msgspec.field(default_factory=list)
    """Items fetched for the user, best first within each category."""
    timezone: str = ""
    """IANA name of the user's time zone; empty when unknown."""
    triggered_at: int = 0
    """Time of the last trigger for the user's feed, in ms since the epoch; 0 for never."""
    weights: dict[str, float] = msgspec.field(default_factory=dict)
    """Offsets of the user's own weights from the shared weights, by ranking feature; negligible ones are left out."""
    interactions_offset: int = -1
    """Offset of the newest of the user's interactions folded, in the user's partition of `interactions`; -1 before the
    first."""
    embedding: bytes = b""
    """Embedding of the user by the last items, as half-precision floats (little-endian); empty without one."""
    embedding_space: str = ""
    """Name of the vector space of the embedding, as in `item-embeddings`."""
    situation_affinities: dict[str, dict[str, float]] = msgspec.field(default_factory=dict)
    """Affinity by situation (a device type, time of day or location, such as device_type=mobile) and by category, or by
    topic for items without one, decayed to the watermark."""
    situation: list[str] = msgspec.field(default_factory=list)
    """Situations of the newest event whose context states any."""


class FeedItems(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Items that only later orders of a feed hold, as columns of equal length."""

    items: list[str]
    """Item ids, in no order that means anything."""
    scores: list[float]
    """Score of each item, by the weights of the first order that holds it."""
    sources: list[str]
    """Feature group with the largest contribution to each item."""
    reasons: list[str]
    """Human-readable reason for each item."""
    parts: dict[str, list[float]]
    """Contribution of each feature group to each item, of the groups in the feed's `parts`."""
    ml_scores: list[float] = msgspec.field(default_factory=list)
    """Scores without the language model, as in the feed."""


class FeedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The order of a feed for a surface, and for a reader who returns after some time."""

    from_ms: int
    """Time since `watermark` from which the order is shown, in ms."""
    indices: list[int]
    """Numbers of its items, best first: 0 is the first of `items`, and those of `others` follow."""
    surface: str = ""
    """The surface whose kinds of items the order holds; empty for all kinds."""


class Feed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's ranked feed as written to the store. Columns of equal length, best item first."""

    user_id: str
    """User id; the message key."""
    features_version: int
    """Version of the features behind the ranking; only a feed of a newer version replaces it."""
    generated_at: int
    """Time of the ranking, in ms since the epoch."""
    watermark: int
    """Newest occurred_at that the feed reflects, in ms since the epoch."""
    model: str
    """Ranking model and its version."""
    items: list[str]
    """Item ids, best first."""
    scores: list[float]
    """Blended score of each item, higher is better."""
    sources: list[str]
    """Feature group with the largest contribution to each item."""
    reasons: list[str]
    """Human-readable reason for each item."""
    parts: dict[str, list[float]] = msgspec.field(default_factory=dict)
    """Contribution of each feature group to each item; they add up to its score."""
    propensities: list[float] = msgspec.field(default_factory=list)
    """Probability with which each place shows its item, the same in all orders; empty without exploration."""
    ml_scores: list[float] = msgspec.field(default_factory=list)
    """Scores without the language model, scaled to [0, 1] over the feed; empty where it did not contribute."""
    llm_scores: dict[str, float] = msgspec.field(default_factory=dict)
    """Relevance in [0, 1] by item, for the items scored by the language model."""
    trailing: int = 0
    """Number of items at the end that rank last regardless of score, such as those out of stock."""
    others: FeedItems | None = None
    """Further items of `orders`; null if there are none."""
    orders: list[FeedOrder] = msgspec.field(default_factory=list)
    """Later orders by `from_ms`; `items` is the first order. An order equal to the one before is left out. Orders of
    surfaces follow, from 0 ms on; a surface that shows all kinds of the catalogue, or none, has none."""
    interactions_offset: int = -1
    """Offset of the newest of the user's interactions behind the ranking, in the user's partition of `interactions`; -1
    if none is known."""
    arms: dict[str, str] = msgspec.field(default_factory=dict)
    """Arms of the experiments that the feed was ranked under, by experiment id."""
    policy: str = ""
    """Exploration policy of the places with a propensity; empty without exploration."""


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to fetch content of one category for a user."""

    event_id: str
    """Id derived from trigger and category, so that a repeated trigger yields the same request."""
    user_id: str
    """User that the content is for; the message key."""
    category: str
    """Category to fetch."""
    trigger_id: str
    """Trigger behind the request."""
    reason: str = ""
    """Reason given by the trigger."""
    cell: str | None = None
    """Coarse H3 cell of the user; null when unknown or irrelevant to the category."""
    city: str | None = None
    """Name of the user's city; null when unknown or irrelevant to the category."""
    local_time: str = ""
    """Local weekday and time of day of the user; empty when unknown."""
    about: str
    """Input for the language model's prompt, as JSON."""
    words: list[str] = msgspec.field(default_factory=list)
    """The user's interests, strongest first: query terms for the catalogue."""
    known: list[str] = msgspec.field(default_factory=list)
    """Items to exclude from the result."""
    occurred_at: int
    """Time of the trigger, in ms since the epoch."""


class ShownItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One shown item."""

    item_id: str
    """Item id."""
    position: int
    """Position in the list, 0 for the first."""
    propensity: float | None = None
    """Probability of showing the item here; null without exploration."""


class Impression(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Items shown to a user."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    request_id: str | None = None
    """Feed request that was answered."""
    items: list[ShownItem]
    """Items in the order shown."""
    surface: str = ""
    """Surface of the application."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""
    is_reported: bool = True
    """Whether the client reported it; false for the server's log of a feed that it served."""


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
    """One action of a user."""

    event_id: str
    """UUIDv7 of this event, unique among those of its user; a repeat within a day is folded once."""
    user_id: str
    """User id; the message key."""
    item_id: str | None = None
    """Item acted on; null for a search."""
    action: Action
    """Action of the user."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""
    value: float | None = None
    """Rating of a rate, from 0 to RATING_SCALE, or strength of another action, such as the share watched."""
    query: str | None = None
    """Search query."""
    session_id: str | None = None
    """Session of the event."""
    request_id: str | None = None
    """Feed request that showed the item."""
    context: dict[str, str] = msgspec.field(default_factory=dict)
    """Context of the event: device_type, surface, time_of_day and so on."""


class Item(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item of the catalogue."""

    item_id: str
    """Item id; the message key."""
    category: str
    """Category: places, music, movies, workshops, products, videos, articles or a finer one."""
    title: str
    """Title of the item."""
    description: str = ""
    """Description in a sentence or a paragraph."""
    topics: list[str] = msgspec.field(default_factory=list)
    """Topics, genres or tags."""
    source: str = ""
    """Publisher of the item."""
    url: str | None = None
    """Address where it can be read, watched or booked."""
    image_url: str | None = None
    """Address of an image."""
    city: str | None = None
    """City of a place or event."""
    cell: str | None = None
    """H3 cell of its location."""
    price: float | None = None
    """Price in the catalogue's currency."""
    created_at: int
    """Time of entry into the catalogue, in ms since the epoch."""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Other attributes by name."""
    kind: str = ""
    """Kind of item where the category is finer, such as product."""
    brand: str | None = None
    """Brand of a product."""
    original_price: float | None = None
    """Price before a discount."""
    rating: float | None = None
    """Mean rating, from 0 to 5."""
    reviews: int | None = None
    """Number of ratings."""
    stock: int | None = None
    """Units in stock; null when stock is not tracked."""
    private: bool = False
    """Whether the item may be shown only to users it was fetched for: it is not in the public catalogue yet."""


class ItemEmbedding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Embedding of an item, by the items before it in users' histories."""

    item_id: str
    """Item id; the message key."""
    space: str
    """Name of the vector space: embeddings of different spaces cannot be compared."""
    vector: bytes
    """The embedding, as half-precision floats (little-endian)."""
    bias: float
    """Log-odds of the item for a user without a history: a user scores it as the inner product of the embeddings plus
    this."""
    watermark: int
    """Newest occurred_at learned from, in ms since the epoch."""
    event_count: int = 0
    """Number of events on the item that it was learned from."""


class ItemNeighbors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Co-occurrence of an item: decayed sums of how often other items were near it in users' histories."""

    item_id: str
    """Item id; the message key."""
    neighbors: list[str]
    """Items linked with this one."""
    scores: list[float]
    """Decayed co-occurrence sum of each neighbor within a history window."""
    watermark: int
    """Newest occurred_at learned from, in ms since the epoch."""
    follows: list[float] = msgspec.field(default_factory=list)
    """Decayed sum of each neighbor that came in the next timestamp groups."""
    mass: float = 0.0
    """Decayed sum of the item's own events."""
    reference: int = 0
    """Reference time of the sums, in ms since the epoch: an event then counts 1, one a half-life later 2."""
    updates_offset: int = 0
    """Offset of the first record of link-updates, in the partition of the same number, that the row does not
    include."""


class ItemSignals(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Signals of one item from interactions of one partition, in fold order. Columns of equal length."""

    item_id: str
    """Item id; the message key."""
    source_partition: int
    """Partition of the interactions behind the signals."""
    source_offsets: list[int]
    """Offset of each interaction, ascending; identifies repeats."""
    source_timestamps: list[int]
    """Broker's append time of each interaction, in ms since the epoch."""
    occurred_at: list[int]
    """Time of each interaction by the client's clock, in ms since the epoch."""
    actions: list[Action]
    """Action of the user."""
    weights: list[float]
    """Strength of each signal; negative for a dislike."""
    ratings: list[float | None]
    """Rating on [0, 1]; null without one."""
    segments: list[str]
    """Demographic group of the user at that time; empty when unknown."""
    nths: list[int]
    """Number of the user's interactions before this one."""
    evidence: list[float] = msgspec.field(default_factory=list)
    """Evidence of each action for the item (positive) or against it, from -1 to 1: a user counts once a day for
    each."""


class ItemStats(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Statistics of an item; decayed sums are natural logarithms, so they never overflow."""

    item_id: str
    """Item id; the message key."""
    trending: float
    """ln of the signal weights decayed per hour, relative to the epoch."""
    popularity: float
    """ln of the signal weights decayed with the long half-life, relative to the epoch."""
    segments: dict[str, float] = msgspec.field(default_factory=dict)
    """popularity within each demographic group."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """Signals by action."""
    watermark: int
    """Newest occurred_at folded in, in ms since the epoch."""
    horizons: list[float] = msgspec.field(default_factory=list)
    """ln of the signal weights with half-lives of a day, a week, infinity and 90 days."""
    cohorts: list[float] = msgspec.field(default_factory=list)
    """popularity by cohort: users grouped by their number of earlier interactions."""
    rating_sum: float = 0.0
    """Sum of the ratings, each on 0 to 1."""
    rating_count: int = 0
    """Number of ratings."""
    first_at: int = 0
    """Oldest occurred_at folded in, in ms since the epoch; 0 for none."""
    hours: list[float] = msgspec.field(default_factory=list)
    """Signal weights by hour of the day (UTC), decayed to the watermark, 24 numbers."""
    weekdays: list[float] = msgspec.field(default_factory=list)
    """Signal weights by day of the week (UTC, from Thursday), decayed to the watermark, 7 numbers."""
    evidence_for: float | None = None
    """Sum of the positive evidence of the signals, each user once a day; null before any is counted."""
    evidence_against: float | None = None
    """Sum of the negative evidence of the signals, each user once a day; null before any is counted."""
    releases: int = 0
    """Number of private releases of the statistics so far; 0 where they are exact."""
    choice_sums: list[float] = msgspec.field(default_factory=list)
    """Noisy sums of users' choices by their age, then by cohort, averaged over releases."""
    segment_sums: dict[str, float] = msgspec.field(default_factory=dict)
    """The same by demographic group."""


class ItemWeights(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Weights of other items given a positive event on an item, as fitted by the trainer; may be negative."""

    item_id: str
    """Item id; the message key."""
    model_version: str
    """Version of the fitted model."""
    others: list[str]
    """Other items."""
    weights: list[float]
    """Weight of each other item."""


class LinkUpdates(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Changes of the links between items by interactions of one partition: those of the items of one partition."""

    item_id: str
    """An item with changed links; the message key, which selects the partition of these items."""
    source_partition: int
    """Partition of the interactions."""
    items: list[str]
    """Ids of all items concerned; the columns name an item by its number here, from 0."""
    events: bytes
    """The interactions in fold order, 37 bytes each, little-endian: offset and append time (int64; they identify
    repeats), time in ms since the epoch (int64), weight (float64), number of its item (uint16), 1 if the item is of
    this partition (uint8), and the numbers of its entries in `outgoing` and in `incoming` (uint8)."""
    outgoing: bytes
    """Links from the item of an interaction to an earlier item, 3 bytes each: number of the earlier item (uint16), and
    its distance in events (uint8)."""
    incoming: bytes
    """Links from an earlier item to the item of an interaction, 5 bytes each: number of the earlier item (uint16), its
    distance in events (uint8; 255 for none), and how much the interaction follows it, in quarters (uint16)."""


class LlmCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call to a language model, and its outcome."""

    call_id: str
    """UUIDv7 of this event."""
    user_id: str
    """User that the call was for; the message key."""
    purpose: str
    """Purpose: score, fetch and so on."""
    category: str = ""
    """Category of content; empty for none in particular."""
    model: str
    """Model that was called."""
    prompt_hash: str
    """Hash of the prompt, the key of its cached answer."""
    prompt_version: str
    """Version of the prompt template."""
    outcome: str
    """answered, or the reason for no answer: timeout, rate_limited, given_up and so on."""
    attempts: int
    """Number of requests made."""
    input_tokens: int = 0
    """Input tokens at the full price."""
    output_tokens: int = 0
    """Output tokens."""
    cache_write_tokens: int = 0
    """Tokens written to the provider's prompt cache."""
    cache_read_tokens: int = 0
    """Tokens read from the provider's prompt cache."""
    cost_usd: float = 0.0
    """Cost in US dollars."""
    latency_ms: int
    """Time from the first attempt to the end, in ms."""
    response: str = ""
    """Used part of the answer, or the raw output where there is no answer. Cut at 256 KiB."""
    dropped: int = 0
    """Number of unusable entries in the answer."""
    problems: list[str] = msgspec.field(default_factory=list)
    """First 20 rejected values of the answer, each with the reason."""
    occurred_at: int
    """End of the call, in ms since the epoch."""


class LlmScores(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Relevance of items to a user, scored by a language model. Holds all items scored with these features."""

    user_id: str
    """User that the scores are for; the message key."""
    features_version: int
    """Version of the features behind the scores."""
    scores: dict[str, float]
    """Score by item, in [0, 1], higher is better."""
    model: str
    """Model that was called."""
    prompt_version: str
    """Version of the prompt template."""
    scored_at: int
    """Time of the answer, in ms since the epoch."""


class Location(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's location, coarsened to an H3 cell before it is written."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    cell: str
    """H3 cell index in hexadecimal, at the configured resolution."""
    resolution: int
    """H3 resolution of the cell, 0 (continent) to 15 (square metre)."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""


class ModelVersion(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A version of a shared model, with the decision to serve or refuse it."""

    model: str
    """Name of the model; the message key."""
    version: str
    """Version of the model, increasing with time."""
    created_at: int
    """Time of the fit, in ms since the epoch."""
    watermark: int
    """Newest occurred_at learned from, in ms since the epoch."""
    status: str
    """serving, refused or rolled-back."""
    reason: str = ""
    """Human-readable reason for the status."""
    events: int
    """Number of interactions learned from."""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    """Validation metrics by name."""
    parts: list[str] = msgspec.field(default_factory=list)
    """Names of the weighted ranking features."""
    weights: list[float] = msgspec.field(default_factory=list)
    """Weight of each feature, context class after context class."""
    squares: list[float] = msgspec.field(default_factory=list)
    """Sum of squared gradients of each weight (AdaGrad), for continued learning."""
    scales: list[float] = msgspec.field(default_factory=list)
    """Mean squared gradient of each feature, the step scale of personal weights."""
    leads: list[float] = msgspec.field(default_factory=list)
    """Decayed sum of each feature's gains in NDCG@10 over the weights; leading features have a share of the score."""
    lead_squares: list[float] = msgspec.field(default_factory=list)
    """Decayed sum of squares of the gains in leads."""
    judged: float = 0.0
    """Decayed number of outcomes behind the leads."""
    repeated_categories: list[str] = msgspec.field(default_factory=list)
    """Categories whose items are shown again after an interaction, as learned from the users' returns."""
    repeat_rates: dict[str, float] = msgspec.field(default_factory=dict)
    """Share of returns among the visits of each category."""
    repeat_visits: dict[str, float] = msgspec.field(default_factory=dict)
    """Number of visits behind each share."""
    offsets: dict[str, list[int]] = msgspec.field(default_factory=dict)
    """Next offset of each partition of the topics learned from, by topic: learning continues there."""


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
    """Decision on a notification, with its reason."""

    notification_id: str
    """Id that is stable for a user and a subject, so that a client can drop duplicates."""
    user_id: str
    """User id; the message key."""
    status: NotificationStatus
    """Decision on the notification."""
    reason: str
    """Human-readable reason."""
    item_id: str | None = None
    """Subject item."""
    category: str = ""
    """Category of the notification."""
    title: str = ""
    """Title of the notification."""
    body: str = ""
    """Text of the notification."""
    link: str = ""
    """Link target within the application."""
    value: float | None = None
    """Lead of the item in the feed, in units of the user's usual lead; null for a requested notification."""
    request_id: str | None = None
    """Event that requested it; null when a feed caused it."""
    due_at: int | None = None
    """Time of the next decision, in ms since the epoch; null when none is due."""
    reached: int = 0
    """Number of devices reached so far."""
    decided_at: int
    """Time of the decision, in ms since the epoch."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item shown, with what the user did with it. A later record of the same id replaces the earlier."""

    user_id: str
    """User id; the message key."""
    outcome_id: str
    """Event id of the impression and the place of the item in it, as EVENT_ID:PLACE."""
    request_id: str | None = None
    """Feed request that was answered."""
    item_id: str
    """Item shown."""
    place: int
    """Place of the item in the list, 0 for the first."""
    surface: str = ""
    """Surface of the application."""
    source: str = ""
    """Feature group with the largest contribution to the item in the feed; empty if the feed is not known."""
    category: str = ""
    """Category of the item; empty if it is not known."""
    model: str = ""
    """Ranking model of the feed; empty if the feed is not known."""
    policy: str = ""
    """Exploration policy of the feed; empty without exploration."""
    propensity: float | None = None
    """Probability of showing the item at this place; null without exploration."""
    arms: dict[str, str] = msgspec.field(default_factory=dict)
    """Arms of the experiments that the feed was ranked under, by experiment id."""
    features_version: int = -1
    """Version of the features behind the feed; -1 if the feed is not known."""
    shown_at: int
    """Time of the impression by the client's clock, in ms since the epoch."""
    closed_at: int
    """End of the time in which an action counts for the impression, in ms since the epoch."""
    clicks: int = 0
    """Number of positive actions on the item that count for the impression, of any kind."""
    likes: int = 0
    """Number of the actions like, inspired, save and share."""
    dislikes: int = 0
    """Number of the actions dislike and hide."""
    skips: int = 0
    """Number of the action skip."""
    conversions: int = 0
    """Number of purchases."""
    dwell_ms: int = 0
    """Time that the user spent on the item, in ms; 0 if it is not known."""
    is_reported: bool = True
    """Whether the client reported the impression; false for the server's log of what it served."""


class PrivacySpending(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Spending from the privacy budget of its day; granted while the day is within the stated budget."""

    ledger: str
    """Name of the ledger; the message key, so that one partition holds its spendings in one order."""
    spending_id: str
    """Id of the spending."""
    principal: str
    """Account that makes the release."""
    release: str
    """Name of the release, such as interactions by item_id."""
    mechanism: str
    """Mechanism of the noise."""
    epsilon: float
    """Epsilon of the release."""
    delta: float
    """Delta of the release."""
    budget_epsilon: float
    """Epsilon that all releases of a day may spend, by the settings of the process."""
    budget_delta: float
    """Delta that all releases of a day may spend, by the settings of the process."""
    occurred_at: int
    """Time of the request by the clock of the process, in ms since the epoch."""


class Profile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's stated profile; replaces the profile before."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    segment: str = ""
    """Demographic group used for cold starts, such as 25-34|f; empty when unknown."""
    categories: list[str] = msgspec.field(default_factory=list)
    """Preferred categories, best first."""
    topics: list[str] = msgspec.field(default_factory=list)
    """Preferred topics and keywords."""
    muted: list[str] = msgspec.field(default_factory=list)
    """Categories, topics or item ids never to show."""
    timezone: str | None = None
    """IANA time zone name."""
    locale: str | None = None
    """BCP 47 language tag."""
    city: str | None = None
    """Home city."""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Other attributes: travel history, relationship status and so on."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""
    stated_at: dict[str, int] = msgspec.field(default_factory=dict)
    """Time of the last statement by field, in ms since the epoch; empty where all are from occurred_at."""


ProfileUpdateKind = Literal[
    "unknown",
    "update",
    "forget",
]


class ProfileUpdate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A change of a user's stated profile."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    kind: ProfileUpdateKind
    """Kind of change: replace fields, or forget the whole profile."""
    fields: list[str] = msgspec.field(default_factory=list)
    """Names of the replaced fields; the others stay unchanged."""
    segment: str = ""
    """Demographic group used for cold starts, such as 25-34|f; empty when unknown."""
    categories: list[str] = msgspec.field(default_factory=list)
    """Preferred categories, best first."""
    topics: list[str] = msgspec.field(default_factory=list)
    """Preferred topics and keywords."""
    muted: list[str] = msgspec.field(default_factory=list)
    """Categories, topics or item ids never to show."""
    timezone: str | None = None
    """IANA time zone name."""
    locale: str | None = None
    """BCP 47 language tag."""
    city: str | None = None
    """Home city."""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Other attributes: travel history, relationship status and so on."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""


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
    """A push request of a user, an application or the scheduler."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    kind: PushKind
    """Kind of request: register or unregister a device, set preferences, send a notification, release waiting ones, or
    revoke a device that another user has registered since."""
    token: str | None = None
    """Push token of the device, for requests about one."""
    platform: Platform = "unknown"
    """Platform of the device."""
    preferences: PushPreferences | None = None
    """New preferences; null leaves them unchanged."""
    fields: list[str] = msgspec.field(default_factory=list)
    """Names of the preferences to set, the others stay unchanged; all when empty."""
    item_id: str | None = None
    """Subject item of a notification."""
    category: str = ""
    """Category of a notification; the item's own when empty."""
    title: str = ""
    """Title of a notification; the item's title when empty."""
    body: str = ""
    """Text of a notification."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""
    appended_at: int = 0
    """For a revoke: broker's append time of the revoked registration, in ms since the epoch."""


class PushToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user's registration of a push token; the newest registration of any user owns the token."""

    token: str
    """Push token of the device; the message key."""
    user_id: str
    """User who registered the token."""
    registered_at: int
    """Time of the registration, in ms since the epoch."""
    appended_at: int
    """Broker's append time of the registration, in ms since the epoch; breaks ties between registrations."""


class ShadowComparison(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a shadow's list differs from the list shown. A repeat has the same user, version, experiment and arm."""

    user_id: str
    """User id; the message key."""
    experiment_id: str
    """The experiment, which is a shadow."""
    arm: str
    """Arm under whose parameters the user was ranked a second time."""
    features_version: int
    """Version of the features behind both rankings: the append time of the event that changed them last, in ms since
    the epoch."""
    compared_at: int
    """Time of the ranking that was shown, in ms since the epoch."""
    overlap: float
    """Share of the first ten items that both lists have, from 0 to 1."""
    rank_biased_overlap: float
    """Rank-biased overlap of the whole lists, from 0 to 1."""
    is_first_changed: bool
    """Whether the lists begin with different items."""
    score_difference: float
    """Mean score of the shadow's first ten items, less that of the first ten shown."""
    items: list[str]
    """Items of the shadow's list, best first."""
    policy: str = ""
    """Exploration policy of the shadow's list; empty without exploration."""
    shown_sources: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of the first ten items shown, by source."""
    sources: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of the shadow's first ten items, by source."""
    shown_categories: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of the first ten items shown, by category."""
    categories: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of the shadow's first ten items, by category."""
    shown_ranking_ms: float
    """Time that the ranking that was shown took, in ms."""
    ranking_ms: float
    """Time that the shadow's ranking took, in ms."""


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
    """Description of an item to rank, for items that the catalogue does not hold."""

    item_id: str
    """Item id."""
    category: str = ""
    """Category; empty when unknown."""
    title: str = ""
    """Title of the item."""
    text: str = ""
    """Beginning of the item's text."""
    topics: list[str] = msgspec.field(default_factory=list)
    """Topics of the item."""
    source: str = ""
    """Author or sender of the item."""


class Trigger(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to act for a user, such as to refresh the feed."""

    event_id: str
    """UUIDv7 of this event; a repeat is folded once."""
    user_id: str
    """User id; the message key."""
    kind: TriggerKind
    """Kind of request."""
    reason: str = ""
    """Human-readable reason."""
    candidates: list[str] = msgspec.field(default_factory=list)
    """Items to rank, for a re-rank of a list."""
    request_id: str | None = None
    """Request id."""
    described: list[Candidate] = msgspec.field(default_factory=list)
    """Descriptions of the candidates."""
    context: dict[str, str] = msgspec.field(default_factory=dict)
    """Context of the ranking: device, time of day, location."""
    topic_distance: float | None = None
    """Least share of topics in which a candidate differs from those before it, where possible; null diversifies by
    category as in other feeds."""
    occurred_at: int
    """Time of the event by the client's clock, in ms since the epoch."""


class UserWeights(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Offsets of a user's own weights from the shared weights."""

    user_id: str
    """User id; the message key."""
    weights: dict[str, float]
    """Offset by ranking feature; negligible ones are left out."""
    watermark: int
    """Time of the newest event learned from, in ms since the epoch."""


class Visits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Visits among the interactions of one partition, in the order of the fold, with whether they are returns."""

    source: str
    """Partition of the interactions as a text; the message key."""
    source_partition: int
    """Partition of the interactions."""
    source_offsets: list[int]
    """Offset of each visit; with the append time it identifies repeats."""
    source_timestamps: list[int]
    """Append time of each visit, in ms since the epoch."""
    categories: list[str]
    """Category of the item of each visit; empty for none."""
    returns: list[bool]
    """Whether each visit is a return: the user had chosen its item before, and another one since."""
