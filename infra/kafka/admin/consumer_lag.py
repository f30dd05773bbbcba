"""Lag of consumer groups: unread records, and records that Kafka deleted before they were read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from confluent_kafka.admin import OffsetSpec

from infra.kafka.admin.offsets import TIMEOUT_S, Partition, committed_offsets, partition_offsets
from topics import TOPICS

_OURS = {topic.name for topic in TOPICS}

Counts = dict[str, dict[str, int]]
"""Records by consumer group and topic."""


@dataclass(slots=True)
class ConsumerLag:
    """Lag of the groups that have committed offsets of our topics."""

    lag: Counts = field(default_factory=dict)
    """Unread records that still exist."""
    deleted_counts: Counts = field(default_factory=dict)
    """Records that retention deleted before they were read; groups and topics without any are omitted."""
    gaps: dict[str, int] = field(default_factory=dict)
    """The same by `GROUP TOPIC PARTITION OFFSET` with the group's committed offset: the name of a gap stays the same
    when it grows."""


def read(admin: Any, *, prefix: str = "") -> ConsumerLag:
    """Return the lag of the groups whose names begin with a prefix. Blocks.

    Raises:
        KafkaException: the brokers do not answer.
    """
    offsets_by_group = _committed(admin, prefix)
    partitions = {partition for group_offsets in offsets_by_group.values() for partition in group_offsets}
    starts, ends = (partition_offsets(admin, partitions, spec) for spec in (OffsetSpec.earliest(), OffsetSpec.latest()))
    lag = ConsumerLag()
    for group, group_offsets in offsets_by_group.items():
        behind = lag.lag.setdefault(group, {})
        for (topic, number), offset in group_offsets.items():
            start, end = starts[topic, number].offset, ends[topic, number].offset
            behind[topic] = behind.get(topic, 0) + max(0, end - max(offset, start))
            if offset < start:
                topic_counts = lag.deleted_counts.setdefault(group, {})
                topic_counts[topic] = topic_counts.get(topic, 0) + start - offset
                lag.gaps[f"{group} {topic} {number} {offset}"] = start - offset
    return lag


def _committed(admin: Any, prefix: str) -> dict[str, dict[Partition, int]]:
    """Return the committed offsets of our topics, by group."""
    groups = [group.group_id for group in admin.list_consumer_groups(request_timeout=TIMEOUT_S).result().valid]
    offsets_by_group: dict[str, dict[Partition, int]] = {}
    for name in sorted(group for group in groups if group.startswith(prefix)):
        ours = {tp: offset for tp, offset in committed_offsets(admin, name).items() if tp[0] in _OURS}
        if ours:
            offsets_by_group[name] = ours
    return offsets_by_group
