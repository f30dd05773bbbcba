"""The newest value of each key of some topics, updated in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from infra.kafka.admin.offsets import Partition
from topics import Topic

_POLL_S = 0.1
_MAX_RECORDS = 2_000


class Tail:
    """Reads topics from their beginning until closed. Values stay bytes: most are replaced before they are decoded."""

    def __init__(self, bootstrap_servers: str, topics: Iterable[Topic]) -> None:
        self._newest: dict[str, dict[bytes, bytes]] = {topic.name: {} for topic in topics}
        self._positions: dict[Partition, int] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "millrace-demo",  # librdkafka requires one; no group is joined and no offset committed
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "log_level": 0,
            }
        )
        self._consumer.assign(
            [
                TopicPartition(topic.name, number, OFFSET_BEGINNING)
                for topic in topics
                for number in range(topic.partitions)
            ]
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="tail", daemon=True)
        self._thread.start()

    def newest(self, topic: Topic) -> dict[bytes, bytes]:
        """Return the newest value of each key that has been read."""
        return self._newest[topic.name].copy()

    def has_read(self, ends: dict[Partition, int]) -> bool:
        """Return whether all records before these end offsets have been read."""
        return all(self._positions.get(partition, -1) >= end for partition, end in ends.items())

    def close(self) -> None:
        """Stop reading."""
        self._closing.set()
        self._thread.join()
        self._consumer.close()

    def _follow(self) -> None:
        while not self._closing.is_set():
            for message in self._consumer.consume(_MAX_RECORDS, _POLL_S):
                error, topic, offset = message.error(), message.topic(), message.offset()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    continue  # the broker is unavailable for a moment: librdkafka reconnects
                if error is None:
                    key, value = message.key(), message.value()
                    if key is not None and value is not None:
                        self._newest[topic][key] = value
                    offset += 1
                self._positions[topic, message.partition()] = offset
