"""Other readers of the same topic, each in its own process: `python -m bench.peer raw|quix EVENTS`.

The module prints the events per second from the first record to the last, as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from infra.settings import read_settings
from schemas.codec import avro_schema
from topics.topic import INTERACTIONS

_BATCH = 1_000
_FRAME_BYTES = 5


class ReadCount:
    """Counter of records that measures their rate from the first to the last."""

    def __init__(self, events: int) -> None:
        self._events, self._count = events, 0
        self._started_s = self._ended_s = 0.0

    @property
    def is_full(self) -> bool:
        """Return whether all records are counted."""
        return self._count >= self._events

    @property
    def per_s(self) -> float:
        """Return records per second."""
        return self._events / (self._ended_s - self._started_s)

    def begin(self) -> None:
        """Start the clock on the first call."""
        if not self._started_s:
            self._started_s = time.perf_counter()

    def add(self) -> None:
        """Count a processed record."""
        self._count += 1
        if self.is_full:
            self._ended_s = time.perf_counter()


def raw(bootstrap_servers: str, read_count: ReadCount) -> None:
    """Consume batches with confluent-kafka and decode them with fastavro."""
    decode = _decoder()
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": uuid.uuid4().hex})
    partitions = range(INTERACTIONS.partitions)
    consumer.assign([TopicPartition(INTERACTIONS.name, number, OFFSET_BEGINNING) for number in partitions])
    while not read_count.is_full:
        for message in consumer.consume(_BATCH, timeout=1.0):
            if error := message.error():
                raise KafkaException(error)
            read_count.begin()
            decode(message.value())
            read_count.add()
    consumer.close()


def quix(bootstrap_servers: str, read_count: ReadCount) -> None:
    """Decode with fastavro and count each user's events in the state store of Quix Streams, RocksDB by default."""
    from quixstreams import Application

    decode = _decoder()
    with tempfile.TemporaryDirectory() as folder:
        app = Application(
            broker_address=bootstrap_servers,
            consumer_group=uuid.uuid4().hex,
            auto_offset_reset="earliest",
            state_dir=folder,
            loglevel="WARNING",
        )

        def read(data: bytes) -> Any:
            read_count.begin()
            return decode(data)

        def count(event: Any, state: Any) -> Any:
            state.set("events", state.get("events", 0) + 1)
            read_count.add()
            if read_count.is_full:
                app.stop()
            return event

        topic = app.topic(INTERACTIONS.name, key_deserializer="bytes", value_deserializer="bytes")
        app.dataframe(topic).apply(read).apply(count, stateful=True)
        app.run()


def _decoder() -> Callable[[bytes | None], Any]:
    schema = fastavro.parse_schema(avro_schema(INTERACTIONS.record))

    def decode(data: bytes | None) -> Any:
        assert data is not None
        body = io.BytesIO(data)
        body.seek(_FRAME_BYTES)
        return fastavro.schemaless_reader(body, schema)

    return decode


PEERS = {"raw": raw, "quix": quix}


def main(peer: str, events: str) -> None:
    """Run one peer over the topic."""
    read_count = ReadCount(int(events))
    PEERS[peer](read_settings().kafka_bootstrap_servers, read_count)
    print(json.dumps({"eps": read_count.per_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
