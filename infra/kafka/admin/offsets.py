"""Offsets as the brokers report them: of partitions, and those that consumer groups have committed. All calls block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from topics import Topic

TIMEOUT_S = 10.0
"""Time within which the brokers must answer a request, in seconds."""

Partition = tuple[str, int]
"""Topic and number."""


def partition_offsets(admin: Any, partitions: Iterable[Partition], spec: Any) -> dict[Partition, Any]:
    """Return the brokers' offset information on partitions.

    Args:
        admin: Client.
        partitions: Topics and numbers of partitions.
        spec: Which offset: the earliest, the latest or that of the newest timestamp.

    Raises:
        KafkaException: the brokers do not answer, or do not know a partition.
    """
    requests = {TopicPartition(*partition): spec for partition in partitions}
    if not requests:
        return {}
    futures = admin.list_offsets(requests, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_S)
    return {(tp.topic, tp.partition): future.result() for tp, future in futures.items()}


def end_offsets(admin: Any, topics: Iterable[Topic]) -> dict[Partition, int]:
    """Return the end offset of committed records in every partition of topics.

    Raises:
        KafkaException: the brokers do not answer, or do not know a topic.
    """
    partitions = [(topic.name, number) for topic in topics for number in range(topic.partitions)]
    infos = partition_offsets(admin, partitions, OffsetSpec.latest())
    return {partition: info.offset for partition, info in infos.items()}


def committed_offsets(admin: Any, group: str) -> dict[Partition, int]:
    """Return the committed offsets of a consumer group.

    Raises:
        KafkaException: the brokers do not answer.
    """
    request = [ConsumerGroupTopicPartitions(group)]
    answer = admin.list_consumer_group_offsets(request, request_timeout=TIMEOUT_S)[group].result()
    return {(tp.topic, tp.partition): tp.offset for tp in answer.topic_partitions if tp.offset >= 0}
