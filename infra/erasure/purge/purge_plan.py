"""Plan of a purge of Kafka: the offsets of all records of erased users, found by reading the topics that name users."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka import ConsumerRecord, TopicPartition
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from infra.erasure.erasure_index import ErasureIndex
from infra.erasure.erasure_log import read_erasures
from infra.erasure.erasure_tracker import ROLES
from infra.erasure.purge.erased_records import NO_GROUPS, ErasedRecords
from infra.error import OperatorError
from infra.kafka.admin.offsets import TIMEOUT_S, Partition, committed_offsets
from infra.kafka.admin.provision import changelogs, consumer_group
from infra.kafka.consumer import READ_UNCOMMITTED
from infra.kafka.readers.record_window import OnReadProgress, WindowReader, window_reader
from infra.kafka.registry import Registry
from infra.kafka.segments.log_rewrite import PartitionRewrite, RewritePlan
from infra.settings import Settings
from schemas.codec import DecodeError
from schemas.types import DeadLetter, PushToken
from topics import TOPICS
from topics.topic import DEAD_LETTERS, ERASURE_REQUESTS, PUSH_TOKENS, by_name

_ITEMS_CHANGELOG = f"{consumer_group('feed')}-items-changelog"
_TOKENS_CHANGELOG = f"{consumer_group('push')}-tokens-changelog"
_COMPACTED = {topic.name for topic in TOPICS if topic.is_compacted} | {topic.name for topic in changelogs()}
_OWNER = "owner"
"""Header of a null value on the topic of push tokens: the user who has released the token."""


class PurgePlan(msgspec.Struct, frozen=True, kw_only=True):
    """The records to remove from logs, and what must stay for now."""

    rewrite: RewritePlan
    unread_count: int
    """Number of tombstones and erasure requests that a consumer group has not read."""


async def purge_plan(settings: Settings, registry: Registry, *, on_progress: OnReadProgress) -> PurgePlan:
    """Read all topics that name users, and return the records of erased users.

    Args:
        settings: The address of the brokers, and the key.
        registry: Decodes the records.
        on_progress: Called with the numbers of offsets passed, and of all.

    Raises:
        OperatorError: a server does not answer.
    """
    servers = settings.kafka_bootstrap_servers
    planner = _Planner(await read_erasures(settings, registry), registry)
    try:
        await asyncio.to_thread(planner.look_up, servers)
        async with window_reader(servers, on_progress=on_progress, isolation_level=READ_UNCOMMITTED) as reader:
            await planner.read(reader)
    except KafkaException as error:
        raise OperatorError(f"Kafka at {servers} does not answer: {error}", "Start it, then try again.") from error
    return planner.plan()


class _Planner:
    def __init__(self, erasures: ErasureIndex, registry: Registry) -> None:
        self._erasures, self._registry = erasures, registry
        self._topic_ids: dict[str, str] = {}
        """Kafka's ids of the topics that name users, by name."""
        self._partition_counts: dict[str, int] = {}
        self._commits: list[Mapping[Partition, int]] = []
        self._records: dict[TopicPartition, ErasedRecords] = {}
        self._token_offsets: dict[tuple[int, bytes], int] = {}
        """Offset of the newest state of each push token so far, by partition and token."""

    def look_up(self, bootstrap_servers: str) -> None:
        """Look up topics and the positions of all consumer groups. Blocks."""
        admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        existing = admin.list_topics(timeout=TIMEOUT_S).topics
        names = [topic.name for topic in TOPICS if topic.is_personal]
        names += [topic.name for topic in changelogs() if topic.name != _ITEMS_CHANGELOG]
        self._partition_counts = {name: len(existing[name].partitions) for name in names if name in existing}
        futures = admin.describe_topics(TopicCollection(list(self._partition_counts)), request_timeout=TIMEOUT_S)
        self._topic_ids = {name: str(future.result(TIMEOUT_S).topic_id) for name, future in futures.items()}
        self._commits = _committed(admin)

    async def read(self, reader: WindowReader) -> None:
        """Read the topics."""
        window = await reader.window(
            [TopicPartition(name, number) for name, count in self._partition_counts.items() for number in range(count)]
        )
        for tp in window:
            self._records[tp] = ErasedRecords(
                self._erasures,
                is_compacted=tp.topic in _COMPACTED,
                read_until=read_until((tp.topic, tp.partition), self._commits),
            )
        async for records in reader.whole(window):
            for record in records:
                await self._add(self._records[TopicPartition(record.topic, record.partition)], record)

    async def _add(self, partition_records: ErasedRecords, record: ConsumerRecord) -> None:
        if record.topic == _TOKENS_CHANGELOG:
            older_offset = self._token_offsets.get((record.partition, record.key))
            partition_records.add_superseded([] if older_offset is None else [older_offset])
            self._token_offsets[record.partition, record.key] = record.offset
            return
        if record.topic == PUSH_TOKENS.name and record.value is None:
            partition_records.add_note(record.offset, dict(record.headers).get(_OWNER))
            return
        user_key, append_ms = await self._user_of(record)
        partition_records.add(record.offset, user_key, append_ms, is_tombstone=record.value is None)
        if record.topic == ERASURE_REQUESTS.name:
            partition_records.add_note(record.offset, user_key)

    async def _user_of(self, record: ConsumerRecord) -> tuple[bytes | None, int]:
        """Return the user whom a record names, and the append time that counts."""
        if record.topic == PUSH_TOKENS.name:
            return await self._token_owner(record.value), record.timestamp
        if record.topic != DEAD_LETTERS.name:
            return record.key, record.timestamp
        try:
            letter = await self._registry.decode(self._registry.codec(DeadLetter), record.value)
        except DecodeError:
            return None, record.timestamp
        is_token = letter.topic == PUSH_TOKENS.name
        user_key = await self._token_owner(letter.value) if is_token else letter.key if _is_of_user(letter) else None
        return user_key, letter.timestamp or record.timestamp

    async def _token_owner(self, value: bytes | None) -> bytes | None:
        try:
            return (await self._registry.decode(self._registry.codec(PushToken), value)).user_id.encode()
        except DecodeError:
            return None

    def plan(self) -> PurgePlan:
        """Return the plan."""
        rewrites = [
            PartitionRewrite(
                topic=tp.topic, topic_id=self._topic_ids[tp.topic], partition=tp.partition, offsets=records.ranges()
            )
            for tp, records in self._records.items()
            if records.ranges()
        ]
        unread_count = sum(records.unread_count for records in self._records.values())
        return PurgePlan(rewrite=RewritePlan(partitions=rewrites), unread_count=unread_count)


def _is_of_user(letter: DeadLetter) -> bool:
    try:
        return by_name(letter.topic).is_keyed_by_user
    except KeyError:  # a collected record, with a key of its own
        return False


def _committed(admin: Any) -> list[Mapping[Partition, int]]:
    """Return the commits of each consumer group. Blocks.

    The roles that hold data of users count as readers of the erasure requests if they have committed anything at all.
    """
    groups: Iterable[Any] = admin.list_consumer_groups(request_timeout=TIMEOUT_S).result(TIMEOUT_S).valid
    roles = {consumer_group(role) for role in ROLES}
    commits: list[Mapping[Partition, int]] = []
    for group in groups:
        offsets = dict(committed_offsets(admin, group.group_id))
        if offsets and group.group_id in roles:
            offsets.setdefault((ERASURE_REQUESTS.name, 0), 0)
        commits.append(offsets)
    return commits


def read_until(partition: Partition, commits: Iterable[Mapping[Partition, int]]) -> int:
    """Return the offset up to which all consumer groups that read a topic have read one of its partitions.

    >>> read_until(("feeds.v1", 1), [{("feeds.v1", 1): 7}, {("feeds.v1", 1): 9}, {("items.v1", 1): 0}])
    7
    >>> read_until(("feeds.v1", 1), [{("feeds.v1", 0): 7}])
    0

    Args:
        partition: The partition.
        commits: The commits of each group; a group reads the topics of which it has committed any partition.
    """
    topic = partition[0]
    readers = [offsets for offsets in commits if any(name == topic for name, _ in offsets)]
    return min((offsets.get(partition, 0) for offsets in readers), default=NO_GROUPS)
