"""Consumers (aiokafka), by default of committed records only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IllegalStateError
from aiokafka.structs import OffsetAndMetadata

from topics import Topic

READ_COMMITTED, READ_UNCOMMITTED = "read_committed", "read_uncommitted"


def kafka_consumer(bootstrap_servers: str, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that skips records of aborted transactions and stops at the first open transaction.

    The caller commits offsets. Positions and end offsets refer to committed records: the position moves past aborted
    records and transaction markers, and the end is the start of the first open transaction.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        topics: Topics to subscribe to, if any.
        options: Further options of the client; `isolation_level` for one that reads all records.
    """
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        **{"isolation_level": READ_COMMITTED, **options},
    )


@asynccontextmanager
async def started(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer, and stop it at the end."""
    try:
        await consumer.start()
        await asyncio.sleep(0)  # its tasks begin: stopping it before that raises CancelledError
        yield consumer
    finally:
        await consumer.stop()


def partitions_of(*topics: Topic) -> list[TopicPartition]:
    """Return all partitions of topics, topic by topic."""
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


async def positions(consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """Return the next offset to read of each assigned partition.

    It also moves past aborted records and transaction markers that no further record may follow for a long time.
    """
    offsets: dict[TopicPartition, int] = {}
    for tp in consumer.assignment():
        try:
            offsets[tp] = await consumer.position(tp)
        except IllegalStateError:
            continue  # a rebalance has revoked it meanwhile
    return offsets


async def group_commits(bootstrap_servers: str, group_id: str) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the commits of a consumer group with their metadata, which a consumer does not tell.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        group_id: The group.

    Raises:
        KafkaError: the brokers do not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        await admin.start()
        commits: dict[TopicPartition, OffsetAndMetadata] = await admin.list_consumer_group_offsets(group_id)
    finally:
        await admin.close()
    return commits
