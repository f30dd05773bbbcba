"""Kafka itself on logs that were rewritten: every client reads the other records, at their offsets and times."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.error import OperatorError
from infra.kafka.segments.log_rewrite import PartitionRewrite, RewritePlan, rewrite_logs
from infra.local import Child
from infra.local.port import free_ports
from infra.local.servers.kafka import Kafka
from infra.settings import Settings
from tests.conftest import show

TOPIC = "events"
ERASED_KEY = b"erase-me-7f3a"
START_WITHIN_S = 120.0
CONFIG = {"message.timestamp.type": "LogAppendTime", "compression.type": "producer", "segment.bytes": str(1 << 20)}


class Broker:
    """A Kafka of its own, to stop and to start again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (port,) = free_ports(1)
        self._server = Kafka(home / "kafka", Settings().millrace_cache.expanduser(), port, on_progress=print)
        self._child: Child | None = None
        self.logs = home / "kafka" / "data"
        self.url = self._server.url

    async def start(self) -> None:
        server = self._server
        self._child = Child(
            server.name, server.command, server.check, home=self._home, on_step=show, prepare=server.prepare
        )
        await self._child.start(within_s=START_WITHIN_S)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()
            self._child = None

    async def records(self) -> tuple[int, list[ConsumerRecord]]:
        """Return the end of the topic, and its records."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.url, enable_auto_commit=False)
        await consumer.start()
        try:
            tp = TopicPartition(TOPIC, 0)
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            records: list[ConsumerRecord] = []
            while await consumer.position(tp) < end:
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
            return end, records
        finally:
            await consumer.stop()


def publish(url: str, codec: str, keys: Iterable[bytes]) -> None:
    """Publish records with one client of its own, in batches of several."""
    producer = Producer(
        {"bootstrap.servers": url, "compression.type": codec, "linger.ms": 20, "enable.idempotence": True}
    )
    noise = random.Random(codec)
    for key in keys:
        producer.produce(TOPIC, key=key, value=key + noise.randbytes(800), headers=[("source", key)])
        producer.poll(0)
    assert producer.flush(60) == 0


def read_by_librdkafka(url: str, last_offset: int) -> list[int]:
    """Return the offsets that the other client reads, up to one."""
    consumer = Consumer({"bootstrap.servers": url, "group.id": "a test", "enable.auto.commit": False})
    try:
        consumer.assign([KafkaPartition(TOPIC, 0, OFFSET_BEGINNING)])
        offsets: list[int] = []
        while not offsets or offsets[-1] < last_offset:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            offsets.append(message.offset())
        return offsets
    finally:
        consumer.close()


def without_key(records: list[ConsumerRecord]) -> list[Any]:
    return [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in records if one.key != ERASED_KEY]


async def test_every_client_reads_the_other_records_at_their_offsets_and_times(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    await broker.start()
    try:
        await _rewrite_and_compare(broker)
    finally:
        await broker.stop()


async def _rewrite_and_compare(broker: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": broker.url, "log_level": 0})
    await asyncio.to_thread(admin.create_topics([NewTopic(TOPIC, 1, 1, config=CONFIG)])[TOPIC].result)
    keys = [ERASED_KEY if number % 10 == 0 or number >= 480 else b"user-%d" % number for number in range(500)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        await asyncio.to_thread(publish, broker.url, codec, keys)
    end, records = await broker.records()
    offsets = [record.offset for record in records if record.key == ERASED_KEY]
    description = await asyncio.to_thread(admin.describe_topics(TopicCollection([TOPIC]))[TOPIC].result)
    rewrite = PartitionRewrite(
        topic=TOPIC, topic_id=str(description.topic_id), partition=0, offsets=[(at, at + 1) for at in offsets]
    )
    plan = RewritePlan(partitions=[rewrite])
    with pytest.raises(OperatorError, match="A broker runs"):
        rewrite_logs(broker.logs, plan)
    await broker.stop()
    assert len(list((broker.logs / f"{TOPIC}-0").glob("*.log"))) > 1
    assert rewrite_logs(broker.logs, plan).foreign_partitions == []
    assert not any(ERASED_KEY in path.read_bytes() for path in broker.logs.rglob("*.log"))

    await broker.start()
    new_end, new_records = await broker.records()
    assert (new_end, without_key(new_records)) == (end, without_key(records))
    assert len(new_records) == len(records) - len(offsets)
    await asyncio.to_thread(publish, broker.url, "lz4", [b"new"])
    assert await asyncio.to_thread(read_by_librdkafka, broker.url, end) == [one.offset for one in new_records] + [end]
