"""Reader of whole topics, with the broker's append time of each record."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from infra.kafka.admin.offsets import Partition, end_offsets
from topics import Topic

_BATCH = 1_000


def scan(bootstrap_servers: str, topic: Topic, *, since: Mapping[Partition, int] | None = None) -> Iterator[Message]:
    """Yield the current records of a topic, partitions interleaved.

    Args:
        bootstrap_servers: Address of the broker.
        topic: The topic.
        since: Start offsets, from an earlier call of `end_offsets`; the beginning by default.
    """
    starts = since or {}
    offsets = end_offsets(AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0}), [topic])
    ends = {number: offsets[topic.name, number] for number in range(topic.partitions)}
    unread_partitions = {number for number, end in ends.items() if end > starts.get((topic.name, number), 0)}
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": uuid.uuid4().hex, "log_level": 0})
    try:
        consumer.assign(
            [
                TopicPartition(topic.name, number, starts.get((topic.name, number), OFFSET_BEGINNING))
                for number in sorted(unread_partitions)
            ]
        )
        while unread_partitions:
            for message in consumer.consume(_BATCH, timeout=0.5):
                if error := message.error():
                    raise KafkaException(error)
                yield message
            for position in consumer.position([TopicPartition(topic.name, number) for number in unread_partitions]):
                if position.offset >= ends[position.partition]:
                    unread_partitions.discard(position.partition)
    finally:
        consumer.close()


def last_append_ms(bootstrap_servers: str, topic: Topic) -> int:
    """Return the newest append time of a topic, in ms since the epoch.

    Args:
        bootstrap_servers: Address of the broker.
        topic: The topic; it has records.
    """
    return max(int(message.timestamp()[1]) for message in scan(bootstrap_servers, topic))
