"""Search of all topics through the protocol, which decompresses them: keys, values and headers of every record."""

from __future__ import annotations

import asyncio
from collections import Counter

from aiokafka import ConsumerRecord, TopicPartition
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.erasure.occurrences.id_pattern import IdPattern
from infra.error import OperatorError
from infra.kafka.admin.offsets import TIMEOUT_S
from infra.kafka.consumer import READ_UNCOMMITTED
from infra.kafka.readers.record_window import OnReadProgress, window_reader


async def search_topics(bootstrap_servers: str, pattern: IdPattern, *, on_progress: OnReadProgress) -> Counter[str]:
    """Return the number of records that hold an id, by topic; topics of other programs on the brokers are searched too.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        pattern: The id.
        on_progress: Called with the numbers of offsets passed, and of all.

    Raises:
        OperatorError: no broker answers.
    """
    counts: Counter[str] = Counter()
    try:
        partitions = await asyncio.to_thread(_partitions, bootstrap_servers)
    except KafkaException as error:
        raise OperatorError(
            f"Kafka at {bootstrap_servers} does not answer: {error}", "Start it, then try again."
        ) from error
    async with window_reader(bootstrap_servers, on_progress=on_progress, isolation_level=READ_UNCOMMITTED) as reader:
        async for records in reader.whole(await reader.window(partitions)):
            counts.update(record.topic for record in records if _holds(record, pattern))
    return counts


def _partitions(bootstrap_servers: str) -> list[TopicPartition]:
    """Return the partitions of all topics. Blocks."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    topics = admin.list_topics(timeout=TIMEOUT_S).topics
    return [TopicPartition(name, number) for name in sorted(topics) for number in topics[name].partitions]


def _holds(record: ConsumerRecord, pattern: IdPattern) -> bool:
    return bool(
        pattern.count(record.key)
        or pattern.count(record.value)
        or any(pattern.count(value) or pattern.count(name.encode()) for name, value in record.headers)
    )
