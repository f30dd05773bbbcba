"""Lag of consumer groups: unread records, and records that Kafka deleted before they were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import OffsetSpec

from topics import TOPICS

_OURS = {topic.name for topic in TOPICS}
_WITHIN_S = 5.0

Counts = dict[str, dict[str, int]]
"""Records by consumer group and topic."""


@dataclass(slots=True)
class ConsumerLag:
    """Lag of the groups that have committed offsets of our topics."""

    lag: Counts = field(default_factory=dict)
    """Unread records that still exist."""
    deleted: Counts = field(default_factory=dict)
    """Records that retention deleted before they were read; groups and topics without any are omitted."""
    gaps: dict[str, int] = field(default_factory=dict)
    """The same by `GROUP TOPIC PARTITION OFFSET` with the group's committed offset: the name of a gap stays the same
    when it grows."""


def read(admin: Any, *, prefix: str = "") -> ConsumerLag:
    """Return the lag of the groups whose names begin with a prefix. Blocks.

    Raises:
        KafkaException: the brokers do not answer.
    """
    committed = _committed(admin, prefix)
    partitions = {(tp.topic, tp.partition) for tps in committed.values() for tp in tps}
    starts, ends = (offsets(admin, partitions, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    lag = ConsumerLag()
    for group, tps in committed.items():
        behind = lag.lag.setdefault(group, {})
        for tp in tps:
            start, end = starts[tp.topic, tp.partition].offset, ends[tp.topic, tp.partition].offset
            behind[tp.topic] = behind.get(tp.topic, 0) + max(0, end - max(tp.offset, start))
            if tp.offset < start:
                deleted = lag.deleted.setdefault(group, {})
                deleted[tp.topic] = deleted.get(tp.topic, 0) + start - tp.offset
                lag.gaps[f"{group} {tp.topic} {tp.partition} {tp.offset}"] = start - tp.offset
    return lag


def offsets(admin: Any, partitions: set[tuple[str, int]], spec: Any) -> dict[tuple[str, int], Any]:
    """Return the brokers' offset information on partitions, by topic and number.

    Args:
        admin: Client.
        partitions: Topics and numbers of partitions.
        spec: Which offset: the earliest, the latest or that of the newest timestamp.
    """
    if not partitions:
        return {}
    futures = admin.list_offsets(
        {TopicPartition(*tp): spec for tp in partitions},
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=_WITHIN_S,
    )
    return {(tp.topic, tp.partition): future.result() for tp, future in futures.items()}


def _committed(admin: Any, prefix: str) -> dict[str, list[TopicPartition]]:
    """Return the committed offsets of our topics, by group."""
    groups = [group.group_id for group in admin.list_consumer_groups(request_timeout=_WITHIN_S).result().valid]
    committed: dict[str, list[TopicPartition]] = {}
    for name in sorted(group for group in groups if group.startswith(prefix)):
        request = [ConsumerGroupTopicPartitions(name)]
        group_offsets = admin.list_consumer_group_offsets(request, request_timeout=_WITHIN_S)[name].result()
        our_partitions = [tp for tp in group_offsets.topic_partitions if tp.topic in _OURS and tp.offset >= 0]
        if our_partitions:
            committed[name] = our_partitions
    return committed
