"""The topics of the pipeline.

All user-keyed topics share one partition count, so that one worker owns a user; so do all item-keyed topics.
The broker stamps every topic (LogAppendTime): (append time, offset) is a position that also survives the re-creation of
a topic, and the record carries the event time (`occurred_at`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas import types

PARTITIONS = 8
DAY_MS = 86_400_000
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
    compacted: bool = False
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
        if not self.compacted:
            return "delete"
        return "compact" if self.retention_ms == FOREVER else "compact,delete"

    @property
    def segment_ms(self) -> int:
        """Return the longest time until a log segment closes: only closed segments are deleted or compacted."""
        return 7 * DAY_MS if self.retention_ms == FOREVER else min(7 * DAY_MS, self.retention_ms // 4)

    def key_of(self, value: msgspec.Struct) -> bytes:
        """Return the message key of a record."""
        return str(getattr(value, self.key)).encode()


INTERACTIONS = Topic(
    "interactions.v1", types.Interaction, "user_id", "api and client apps", "What users do.", retention_ms=90 * DAY_MS
)
LOCATIONS = Topic(
    "locations.v1", types.Location, "user_id", "api", "Where users are, as H3 cells.", retention_ms=1 * DAY_MS
)
TRIGGERS = Topic("triggers.v1", types.Trigger, "user_id", "api and streams", "What should happen for a user.")
PROFILES = Topic(
    "profiles.v1",
    types.Profile,
    "user_id",
    "streams.profile and client apps",
    "What users say of themselves; the newest holds, and a null value forgets it.",
    retention_ms=FOREVER,
    compacted=True,
)
PROFILE_UPDATES = Topic(
    "profile-updates.v1",
    types.ProfileUpdate,
    "user_id",
    "api",
    "Changes of profiles, field by field; streams.profile merges them into the profiles.",
)
ITEMS = Topic(
    "items.v1",
    types.Item,
    "item_id",
    "catalogue and streams.fetch",
    "The catalogue; the newest holds.",
    FOREVER,
    compacted=True,
)
ITEM_SIGNALS = Topic(
    "item-signals.v2",
    types.ItemSignals,
    "item_id",
    "streams.user",
    "What interactions meant for their items, re-keyed by item: those of a batch, or of a checkpoint, together.",
    retention_ms=7 * DAY_MS,
)
FEATURES = Topic(
    "features.v1",
    types.Features,
    "user_id",
    "streams.user",
    "Each user's feature snapshot.",
    retention_ms=FOREVER,
    compacted=True,
)
FEEDS = Topic(
    "feeds.v1",
    types.Feed,
    "user_id",
    "streams.rank",
    "Each ranked feed as written to the store.",
    retention_ms=30 * DAY_MS,
    compacted=True,
)
IMPRESSIONS = Topic(
    "impressions.v1", types.Impression, "user_id", "api", "What was shown, with which propensity.", 90 * DAY_MS
)
ITEM_STATS = Topic(
    "item-stats.v1",
    types.ItemStats,
    "item_id",
    "streams.signal",
    "Trending and popularity of each item.",
    retention_ms=FOREVER,
    compacted=True,
)
ITEM_NEIGHBORS = Topic(
    "item-neighbors.v1",
    types.ItemNeighbors,
    "item_id",
    "streams.trainer",
    "The items that go with each item.",
    retention_ms=FOREVER,
    compacted=True,
)
ITEM_WEIGHTS = Topic(
    "item-weights.v1",
    types.ItemWeights,
    "item_id",
    "streams.trainer",
    "What a liking of each item says of others, by the model in service.",
    retention_ms=FOREVER,
    compacted=True,
)
MODEL_VERSIONS = Topic(
    "model-versions.v1",
    types.ModelVersion,
    "model",
    "streams.trainer",
    "The version of each model that is in service.",
    retention_ms=FOREVER,
    compacted=True,
)
USER_WEIGHTS = Topic(
    "user-weights.v1",
    types.UserWeights,
    "user_id",
    "streams.trainer",
    "What each user's own choices add to the weights that all users share.",
    retention_ms=FOREVER,
    compacted=True,
)
LLM_CALLS = Topic(
    "llm-calls.v1",
    types.LlmCall,
    "user_id",
    "streams",
    "Questions to the language model and their answers.",
)
LLM_SCORES = Topic(
    "llm-scores.v1",
    types.LlmScores,
    "user_id",
    "streams.score",
    "How well items fit a user, as the language model judges it.",
    retention_ms=7 * DAY_MS,
    compacted=True,
)
FETCH_REQUESTS = Topic(
    "fetch-requests.v1",
    types.FetchRequest,
    "user_id",
    "streams.retrieve",
    "Content to be fetched for users.",
    retention_ms=1 * DAY_MS,
)
CONTENT = Topic(
    "content.v1",
    types.Content,
    "user_id",
    "streams.fetch",
    "What was fetched for users, and by whom.",
    retention_ms=7 * DAY_MS,
)
PUSH_REQUESTS = Topic(
    "push-requests.v1",
    types.PushRequest,
    "user_id",
    "api and streams.push",
    "Devices to register or revoke, preferences to take over, notifications to send.",
)
PUSH_TOKENS = Topic(
    "push-tokens.v1",
    types.PushToken,
    "token",
    "streams.push",
    "Registrations of push tokens, re-keyed by token: the newest one owns it.",
)
DEVICES = Topic(
    "devices.v1",
    types.Devices,
    "user_id",
    "streams.push",
    "Where each user may be reached by pushes, and what they want to be pushed.",
    retention_ms=FOREVER,
    compacted=True,
)
NOTIFICATIONS = Topic(
    "notifications.v1",
    types.Notification,
    "user_id",
    "streams.push",
    "Each decision on a push, with its reason.",
    retention_ms=90 * DAY_MS,
)
EXPERIMENTS = Topic(
    "experiments.v1",
    types.Experiment,
    "experiment_id",
    "api",
    "Comparisons of ways to rank, as they are defined; the newest holds.",
    retention_ms=FOREVER,
    compacted=True,
)
AUDITS = Topic(
    "audits.v1",
    types.Audit,
    "user_id",
    "api",
    "Admins' calls, and recommendations that were served.",
    retention_ms=90 * DAY_MS,
)
DEAD_LETTERS = Topic(
    "dead-letters.v1",
    types.DeadLetter,
    "letter_id",
    "streams",
    "Messages that could not be used and records that could not be written, with the reason.",
    retention_ms=365 * DAY_MS,
    max_message_bytes=2 * MIB,  # room for the largest message of any other topic and the description of its failure
)

GLOBAL_TABLES = (ITEMS, ITEM_STATS, ITEM_NEIGHBORS, ITEM_WEIGHTS, MODEL_VERSIONS)
"""Compacted topics that every worker of the feed role reads in full, like the GlobalKTables of Kafka Streams."""

TOPICS: tuple[Topic, ...] = tuple(constant for constant in list(globals().values()) if isinstance(constant, Topic))
"""All topics, in the order of their constants."""


def by_name(name: str) -> Topic:
    """Return the topic of a full or short name (`interactions.v1` or `interactions`).

    Raises:
        KeyError: no such topic.
    """
    for topic in TOPICS:
        if name in (topic.name, topic.short_name):
            return topic
    raise KeyError(name)
