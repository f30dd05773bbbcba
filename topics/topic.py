"""The topics of the pipeline.

All user-keyed topics share one partition count, so that one worker owns a user; so do all item-keyed topics.
The broker stamps every topic (LogAppendTime): (append time, offset) is a position that also survives the re-creation of
a topic, and the record carries the event time (`occurred_at`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from domain.timestamp import DAY_MS
from schemas import types

PARTITIONS = 8
FOREVER = -1
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; its record type is also the schema of its registry subject."""

    name: str
    record: type[msgspec.Struct]
    key: str
    """Field of the record that is the message key."""
    owner: str
    """Writers of the topic."""
    doc: str
    retention_ms: int = 30 * DAY_MS
    is_compacted: bool = False
    partitions: int = PARTITIONS
    max_message_bytes: int = MIB

    @property
    def subject(self) -> str:
        """Return the registry subject of the values."""
        return f"{self.name}-value"

    @property
    def short_name(self) -> str:
        """Return the name without its version, for the command line."""
        return self.name.rpartition(".")[0]

    @property
    def cleanup_policy(self) -> Literal["compact", "delete", "compact,delete"]:
        """Return Kafka's cleanup.policy."""
        if not self.is_compacted:
            return "delete"
        return "compact" if self.retention_ms == FOREVER else "compact,delete"

    @property
    def is_personal(self) -> bool:
        """Return whether its records name users."""
        return "user_id" in self.record.__struct_fields__ or self.record is types.DeadLetter

    @property
    def is_keyed_by_user(self) -> bool:
        """Return whether its keys are ids of users."""
        return self.key == "user_id"

    @property
    def segment_ms(self) -> int:
        """Return the longest time until a log segment closes: only closed segments are deleted or compacted."""
        return 7 * DAY_MS if self.retention_ms == FOREVER else min(7 * DAY_MS, self.retention_ms // 4)

    def key_of(self, value: msgspec.Struct) -> bytes:
        """Return the message key of a record."""
        return str(getattr(value, self.key)).encode()


INTERACTIONS = Topic(
    "interactions.v1",
    types.Interaction,
    "user_id",
    "api and client apps",
    "Actions of users on items, and their searches.",
    retention_ms=90 * DAY_MS,
)
LOCATIONS = Topic(
    "locations.v1", types.Location, "user_id", "api", "Locations of users, as H3 cells.", retention_ms=1 * DAY_MS
)
TRIGGERS = Topic(
    "triggers.v1",
    types.Trigger,
    "user_id",
    "api and streams",
    "Triggers: requests to act for a user, such as to prefetch or to rank again.",
)
PROFILES = Topic(
    "profiles.v1",
    types.Profile,
    "user_id",
    "streams.profile and client apps",
    "Stated profiles; the newest record of a user is valid, and a null value deletes the profile.",
    retention_ms=FOREVER,
    is_compacted=True,
)
PROFILE_UPDATES = Topic(
    "profile-updates.v1",
    types.ProfileUpdate,
    "user_id",
    "api",
    "Changes of stated profiles, field by field; streams.profile merges them into profiles.",
)
ITEMS = Topic(
    "items.v1",
    types.Item,
    "item_id",
    "catalogue and streams.fetch",
    "Items of the catalogue; the newest record of an item is valid.",
    FOREVER,
    is_compacted=True,
)
ITEM_SIGNALS = Topic(
    "item-signals.v2",
    types.ItemSignals,
    "item_id",
    "streams.user",
    "Item signals of interactions, keyed by item; one record for all signals of a batch or a checkpoint.",
    retention_ms=7 * DAY_MS,
)
FEATURES = Topic(
    "features.v1",
    types.Features,
    "user_id",
    "streams.user",
    "Feature snapshots of users.",
    retention_ms=FOREVER,
    is_compacted=True,
)
FEEDS = Topic(
    "feeds.v1",
    types.Feed,
    "user_id",
    "streams.rank",
    "Ranked feeds, as written to the feed store.",
    retention_ms=30 * DAY_MS,
    is_compacted=True,
)
IMPRESSIONS = Topic(
    "impressions.v1",
    types.Impression,
    "user_id",
    "api",
    "Items shown to users, with the propensity of showing them.",
    90 * DAY_MS,
)
OUTCOMES = Topic(
    "outcomes.v1",
    types.Outcome,
    "user_id",
    "streams.outcomes",
    "What users did with each item shown; a later record with the same outcome id replaces the earlier one.",
    retention_ms=90 * DAY_MS,
)
EARLY_OUTCOMES = Topic(
    "early-outcomes.v1",
    types.EarlyOutcome,
    "user_id",
    "streams.outcomes",
    "What users did within seconds with the items shown to them in experiments, before the outcomes close.",
    retention_ms=90 * DAY_MS,
)
ITEM_STATS = Topic(
    "item-stats.v1",
    types.ItemStats,
    "item_id",
    "streams.signal; streams.trainer where statistics are private",
    "Trend, popularity and ratings of items.",
    retention_ms=FOREVER,
    is_compacted=True,
)
LINK_UPDATES = Topic(
    "link-updates.v1",
    types.LinkUpdates,
    "item_id",
    "streams.user",
    "Changes of the links between items; one record for the items of each partition that a batch concerns.",
    retention_ms=7 * DAY_MS,
)
ITEM_NEIGHBORS = Topic(
    "item-neighbors.v1",
    types.ItemNeighbors,
    "item_id",
    "streams.links",
    "Co-occurrence of items, and the changelog of it.",
    retention_ms=FOREVER,
    is_compacted=True,
)
ITEM_EMBEDDINGS = Topic(
    "item-embeddings.v1",
    types.ItemEmbedding,
    "item_id",
    "streams.links",
    "Embeddings of items, which change with every event.",
    retention_ms=FOREVER,
    is_compacted=True,
)
ENCODER_VECTORS = Topic(
    "encoder-vectors.v1",
    types.EncoderVector,
    "item_id",
    "streams.encoder",
    "Vectors of items, by the newest version of the network that serves users by their own vectors.",
    retention_ms=FOREVER,
    is_compacted=True,
)
ENCODER_VERSIONS = Topic(
    "encoder-versions.v1",
    types.EncoderVersion,
    "model",
    "streams.encoder",
    "Versions of that network, with the decision to serve or refuse them, and the parameters that make users' vectors.",
    retention_ms=FOREVER,
    is_compacted=True,
)
ITEM_WEIGHTS = Topic(
    "item-weights.v1",
    types.ItemWeights,
    "item_id",
    "streams.trainer",
    "Item weights by the model in service: the effect of a positive event on an item on the scores of other items.",
    retention_ms=FOREVER,
    is_compacted=True,
)
MODEL_VERSIONS = Topic(
    "model-versions.v1",
    types.ModelVersion,
    "model",
    "streams.trainer",
    "Versions of models, with the decision to serve or refuse them.",
    retention_ms=FOREVER,
    is_compacted=True,
)
USER_WEIGHTS = Topic(
    "user-weights.v1",
    types.UserWeights,
    "user_id",
    "streams.trainer",
    "Offsets of users' own feature weights from the shared weights.",
    retention_ms=FOREVER,
    is_compacted=True,
)
CHOICES = Topic(
    "choices.v1",
    types.Choice,
    "user_id",
    "streams.user",
    "Users' choices from their feeds, with the features that the items had when they were ranked.",
    retention_ms=7 * DAY_MS,
)
VISITS = Topic(
    "visits.v1",
    types.Visits,
    "source",
    "streams.user",
    "Visits to items, with whether they are returns.",
    retention_ms=7 * DAY_MS,
)
LLM_CALLS = Topic(
    "llm-calls.v1",
    types.LlmCall,
    "user_id",
    "streams",
    "Calls to the language model, with their outcomes.",
)
LLM_SCORES = Topic(
    "llm-scores.v1",
    types.LlmScores,
    "user_id",
    "streams.score",
    "Relevance of items to users, scored by the language model.",
    retention_ms=7 * DAY_MS,
    is_compacted=True,
)
FETCH_REQUESTS = Topic(
    "fetch-requests.v1",
    types.FetchRequest,
    "user_id",
    "streams.retrieve",
    "Requests to fetch content for users.",
    retention_ms=1 * DAY_MS,
)
CONTENT = Topic(
    "content.v1",
    types.Content,
    "user_id",
    "streams.fetch",
    "Content fetched for users, with its source.",
    retention_ms=7 * DAY_MS,
)
PUSH_REQUESTS = Topic(
    "push-requests.v1",
    types.PushRequest,
    "user_id",
    "api and streams.push",
    "Requests to register or revoke devices, to set preferences, and to send notifications.",
)
PUSH_TOKENS = Topic(
    "push-tokens.v1",
    types.PushToken,
    "token",
    "streams.push",
    "Registrations of push tokens, keyed by token; the newest registration owns the token.",
)
DEVICES = Topic(
    "devices.v1",
    types.Devices,
    "user_id",
    "streams.push",
    "Devices and push preferences of users.",
    retention_ms=FOREVER,
    is_compacted=True,
)
NOTIFICATIONS = Topic(
    "notifications.v1",
    types.Notification,
    "user_id",
    "streams.push",
    "Decisions on push notifications, with their reasons.",
    retention_ms=90 * DAY_MS,
)
EXPERIMENTS = Topic(
    "experiments.v1",
    types.Experiment,
    "experiment_id",
    "api",
    "Definitions of ranking experiments; the newest record of an experiment is valid.",
    retention_ms=FOREVER,
    is_compacted=True,
)
EXPOSURES = Topic(
    "exposures.v1",
    types.Exposure,
    "user_id",
    "streams.rank",
    "First rankings of users under the arms of experiments.",
    retention_ms=90 * DAY_MS,
)
SHADOW_COMPARISONS = Topic(
    "shadow-comparisons.v1",
    types.ShadowComparison,
    "user_id",
    "streams.rank",
    "Differences of the lists of shadows, which are never shown, from the lists shown.",
)
AUDITS = Topic(
    "audits.v1",
    types.Audit,
    "user_id",
    "api",
    "Calls of admins, and served recommendations.",
    retention_ms=90 * DAY_MS,
)
ERASURE_REQUESTS = Topic(
    "erasure-requests.v1",
    types.ErasureRequest,
    "user_id",
    "api and millrace erase",
    "Requests to erase users, for the roles that hold their data.",
)
ERASURES = Topic(
    "erasures.v1",
    types.Erasure,
    "user_hash",
    "api and millrace erase",
    "Erased users as keyed hashes; readers skip the records of a user that are older.",
    retention_ms=400 * DAY_MS,  # longer than that of any topic without compaction
    is_compacted=True,
)
PRIVACY_LEDGER = Topic(
    "privacy-ledger.v1",
    types.PrivacySpending,
    "ledger",
    "millrace privacy",
    "Spendings from the privacy budget of each day; their order decides which are granted.",
    retention_ms=400 * DAY_MS,
)
DEAD_LETTERS = Topic(
    "dead-letters.v1",
    types.DeadLetter,
    "letter_id",
    "streams",
    "Messages that could not be processed and records that could not be written, with the reasons.",
    retention_ms=365 * DAY_MS,
    max_message_bytes=2 * MIB,  # room for the largest message of any other topic and the description of its failure
)

GLOBAL_TABLES = (
    *(ITEMS, ITEM_STATS, ITEM_NEIGHBORS, ITEM_EMBEDDINGS, ENCODER_VECTORS, ENCODER_VERSIONS, ITEM_WEIGHTS),
    *(MODEL_VERSIONS, EXPERIMENTS),
)
"""Compacted topics that every worker of the feed role reads in full, like the GlobalKTables of Kafka Streams."""

TOPICS: tuple[Topic, ...] = tuple(constant for constant in list(globals().values()) if isinstance(constant, Topic))
"""All topics, in the order of their constants."""


def by_name(name: str) -> Topic:
    """Return the topic of a full or short name (`interactions.v1` or `interactions`).

    In a short name, a hyphen may be an underscore, as SQL has it.

    Raises:
        KeyError: no such topic.
    """
    for topic in TOPICS:
        if name in (topic.name, topic.short_name, topic.short_name.replace("-", "_")):
            return topic
    raise KeyError(name)
