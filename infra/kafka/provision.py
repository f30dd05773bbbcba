"""Everything that must be there before the first event: topics, schemas, tables. Doing it again changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.address import Addresses
from infra.error import OperatorError
from infra.kafka.registry import Registry
from infra.postgres import pool
from topics import TOPICS
from topics.topic import PARTITIONS, PROFILES

APP_ID = "millrace"
"""Name of the feed role's Faust app: its consumer group, and the first part of its changelogs' names."""
FETCH_GROUP = f"{APP_ID}-fetch"
"""Consumer group of the fetch role."""
TABLES = ("users", "items", "profiles")
PUSH_APP_ID, PUSH_TABLES = f"{APP_ID}-push", ("pushes", "tokens")
_PROFILES_CHANGELOG = f"{APP_ID}-profiles-changelog"
_TIMESTAMPS = {"message.timestamp.type": "LogAppendTime"}
_WITHIN_S = 30.0
_ASK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class BrokerTopic:
    """A topic as the broker must have it."""

    name: str
    partitions: int
    config: dict[str, str]


def broker_topics() -> list[BrokerTopic]:
    """Return all topics of the pipeline: those that events travel on, and the changelogs of its tables."""
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
                **_TIMESTAMPS,
            },
        )
        for topic in TOPICS
    ]
    changelogs = [
        BrokerTopic(f"{name}-changelog", PARTITIONS, {"cleanup.policy": "compact", **_TIMESTAMPS})
        for app_id, tables in ((APP_ID, TABLES), (PUSH_APP_ID, PUSH_TABLES))
        for name in (f"{app_id}-{table}" for table in tables)
    ]
    return events + changelogs


async def provision(addresses: Addresses, *, on_done: Callable[[str, str], None] = lambda _name, _what: None) -> None:
    """Create the topics, register the schemas, migrate the database; `on_done` hears of each.

    Raises:
        OperatorError: what is there already does not fit, or a server refused.
    """
    created, registered, migrated = await asyncio.gather(
        create(addresses.kafka_bootstrap_servers, broker_topics()),
        _register(addresses.schema_registry_url),
        pool.migrate(addresses.database_url, pool.migrations()),
    )
    on_done("topics", f"{len(broker_topics())}, of which {created} are new")
    on_done("schemas", f"{registered}")
    on_done("tables", f"migrated: {', '.join(migrated)}" if migrated else "as they should be")


async def create(bootstrap_servers: str, topics: list[BrokerTopic]) -> int:
    """Create the topics that are missing, hold all against what they must be, and return how many were created.

    Raises:
        OperatorError: the broker refused, or what is there already does not fit.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    existing_names = set((await asyncio.to_thread(admin.list_topics, timeout=_WITHIN_S)).topics)
    missing = [topic for topic in topics if topic.name not in existing_names]
    if PROFILES.name in existing_names and _PROFILES_CHANGELOG in {topic.name for topic in missing}:
        await _reread_profiles(admin)
    # A replication factor of -1 is the broker's own default.
    new = [NewTopic(topic.name, topic.partitions, -1, config=topic.config) for topic in missing]
    for name, future in (admin.create_topics(new, operation_timeout=_WITHIN_S) if new else {}).items():
        try:
            await asyncio.to_thread(future.result)
        except KafkaException as error:
            if error.args[0].name() == "TOPIC_ALREADY_EXISTS":
                continue  # another process is provisioning too
            raise OperatorError(
                f"Kafka did not create the topic {name}: {error.args[0].str()}",
                "Give this client the right to create topics, or create it beforehand.",
            ) from error
    await _verify(admin, topics)
    return len(missing)


async def _reread_profiles(admin: Any) -> None:
    """Have the feed role read all profiles again, as its table of them is new: changes are merged into what is there.

    Raises:
        OperatorError: the role runs.
    """
    begin = [TopicPartition(PROFILES.name, number, 0) for number in range(PROFILES.partitions)]
    future = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(APP_ID, begin)])[APP_ID]
    try:
        await asyncio.to_thread(future.result, _WITHIN_S)
    except KafkaException as error:
        raise OperatorError(
            f"The profiles cannot be read again: {error.args[0].str()}",
            "Stop the workers of the role feed, then provision again.",
        ) from error


async def _verify(admin: Any, topics: list[BrokerTopic]) -> None:
    """Wait until all topics have leaders, then hold them against what they must be.

    A wrong partition count would send a user's events to two workers, and without the broker's time no position
    survives a topic's re-creation: both are refused. Retention and the like are the operator's own business.
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
            "Delete them if what they hold does not matter; otherwise alter the setting (kafka-configs.sh), and copy"
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
