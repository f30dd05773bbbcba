"""Provisioning of topics, schemas and tables, which must exist before the first event. It is idempotent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.schema_registry.error import SchemaRegistryError

from domain.timestamp import DAY_MS
from infra.address import Addresses
from infra.error import OperatorError
from infra.kafka.registry import Registry
from infra.postgres import pool
from topics import TOPICS
from topics.topic import PARTITIONS, PROFILES

APP_ID = "millrace"
"""The consumer group of the feed role, and the prefix of all other groups and of the changelog topics."""
TABLES, PUSH_TABLES = ("users", "items", "profiles"), ("pushes", "tokens")
_PROFILES_CHANGELOG = f"{APP_ID}-profiles-changelog"
_TIMESTAMPS = {"message.timestamp.type": "LogAppendTime"}
_PERSONAL_COMPACTION = {"max.compaction.lag.ms": str(DAY_MS), "delete.retention.ms": str(DAY_MS)}
"""Bounds the time from the erasure of a user to the deletion of the records, and then of the tombstones."""
_WITHIN_S = 30.0
_ASK_EVERY_S = 0.05


def consumer_group(role: str) -> str:
    """Return the consumer group of a role; of roles with tables it is also the id of the Faust app.

    >>> consumer_group("feed"), consumer_group("push")
    ('millrace', 'millrace-push')
    """
    return APP_ID if role == "feed" else f"{APP_ID}-{role}"


@dataclass(frozen=True, slots=True)
class BrokerTopic:
    """The required configuration of a topic."""

    name: str
    partitions: int
    config: dict[str, str]


def broker_topics() -> list[BrokerTopic]:
    """Return all topics of the pipeline: the topics of records and the changelogs of tables."""
    events = [
        BrokerTopic(
            topic.name,
            topic.partitions,
            {
                "cleanup.policy": topic.cleanup_policy,
                "retention.ms": str(topic.retention_ms),
                "segment.ms": str(topic.segment_ms),
                "compression.type": "producer",
                "max.message.bytes": str(topic.max_message_bytes),
                **(_PERSONAL_COMPACTION if topic.is_personal and topic.is_compacted else {}),
                **_TIMESTAMPS,
            },
        )
        for topic in TOPICS
    ]
    return events + changelogs()


def changelogs() -> list[BrokerTopic]:
    """Return the changelogs of tables; all but that of items are personal."""
    return [
        BrokerTopic(
            f"{consumer_group(role)}-{table}-changelog",
            PARTITIONS,
            {"cleanup.policy": "compact", **({} if table == "items" else _PERSONAL_COMPACTION), **_TIMESTAMPS},
        )
        for role, tables in (("feed", TABLES), ("push", PUSH_TABLES))
        for table in tables
    ]


async def provision(addresses: Addresses, *, on_result: Callable[[str, str], None] = lambda _name, _what: None) -> None:
    """Create the topics, register the schemas and migrate the database; `on_result` is called with the result of each.

    Raises:
        OperatorError: an existing topic or schema does not fit, or a server refused.
    """
    new_topic_count, schema_count, table_changes = await asyncio.gather(
        create(addresses.kafka_bootstrap_servers, broker_topics()),
        _register(addresses.schema_registry_url),
        pool.migrate(addresses.database_url, pool.migrations()),
    )
    on_result("topics", f"{len(broker_topics())}, of which {new_topic_count} are new")
    on_result("schemas", f"{schema_count}")
    on_result("tables", f"migrated: {', '.join(table_changes)}" if table_changes else "as they should be")


async def create(bootstrap_servers: str, topics: list[BrokerTopic]) -> int:
    """Create missing topics, verify all, and return the number of created ones.

    Raises:
        OperatorError: the broker refused, or an existing topic does not fit.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    existing_names = set((await asyncio.to_thread(admin.list_topics, timeout=_WITHIN_S)).topics)
    missing = [topic for topic in topics if topic.name not in existing_names]
    if PROFILES.name in existing_names and _PROFILES_CHANGELOG in {topic.name for topic in missing}:
        await _reread_profiles(admin)
    # A replication factor of -1 selects the broker's default.
    new = [NewTopic(topic.name, topic.partitions, -1, config=topic.config) for topic in missing]
    for name, future in (admin.create_topics(new, operation_timeout=_WITHIN_S) if new else {}).items():
        try:
            await asyncio.to_thread(future.result)
        except KafkaException as error:
            if error.args[0].name() == "TOPIC_ALREADY_EXISTS":
                continue  # another process provisions at the same time
            raise OperatorError(
                f"Kafka did not create the topic {name}: {error.args[0].str()}",
                "Give this client the right to create topics, or create it beforehand.",
            ) from error
    await _verify(admin, topics)
    return len(missing)


async def _reread_profiles(admin: Any) -> None:
    """Reset the feed role's offsets of the profiles: its table is new, and changes are merged into existing profiles.

    Raises:
        OperatorError: the role is running.
    """
    begin = [TopicPartition(PROFILES.name, number, 0) for number in range(PROFILES.partitions)]
    group = consumer_group("feed")
    future = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, begin)])[group]
    try:
        await asyncio.to_thread(future.result, _WITHIN_S)
    except KafkaException as error:
        raise OperatorError(
            f"The profiles cannot be read again: {error.args[0].str()}",
            "Stop the workers of the role feed, then provision again.",
        ) from error


async def _verify(admin: Any, topics: list[BrokerTopic]) -> None:
    """Wait until all topics have leaders, then compare them with their required configuration.

    A wrong partition count would send a user's events to two workers, and without broker timestamps no position
    survives the re-creation of a topic: both are refused. Retention and similar settings are left to the operator.
    """
    async with asyncio.timeout(_WITHIN_S):
        while True:
            metadata = (await asyncio.to_thread(admin.list_topics, timeout=_WITHIN_S)).topics
            if all(_led(metadata.get(topic.name)) for topic in topics):
                break
            await asyncio.sleep(_ASK_EVERY_S)
    resources = {topic.name: ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics}
    configs = admin.describe_configs(list(resources.values()))
    problems = []
    for topic in topics:
        partitions = len(metadata[topic.name].partitions)
        if partitions != topic.partitions:
            problems.append(f"{topic.name} has {partitions} partitions, not {topic.partitions}")
        config = await asyncio.to_thread(configs[resources[topic.name]].result)
        for key, expected_value in _TIMESTAMPS.items():
            if config[key].value != expected_value:
                problems.append(f"{topic.name} has {key}={config[key].value}, not {expected_value}")
    if problems:
        raise OperatorError(
            "Topics that are there already do not fit:\n  " + "\n  ".join(problems),
            "Delete them if their data is not needed; otherwise alter the setting (kafka-configs.sh), and copy"
            " topics with another partition count to new ones.",
        )


def _led(metadata: Any) -> bool:
    return (
        metadata is not None
        and bool(metadata.partitions)
        and all(partition.leader >= 0 for partition in metadata.partitions.values())
    )


async def _register(url: str) -> int:
    registry = Registry(url)
    try:
        await asyncio.gather(*(asyncio.to_thread(registry.register, topic) for topic in TOPICS))
    except SchemaRegistryError as error:
        raise OperatorError(
            f"The schema registry refused a schema: {error}",
            "A schema that breaks its predecessors needs a topic of a new version.",
        ) from error
    finally:
        registry.close()
    return len(TOPICS)
