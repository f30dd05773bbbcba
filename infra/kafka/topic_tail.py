"""Decoded tail of a topic, for inspection: its last records and those that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka.consumer import kafka_consumer
from infra.kafka.registry import Registry
from schemas.codec import DecodeError, UnseenSchemaError
from topics import Topic


@dataclass(frozen=True, slots=True)
class TailEntry:
    """One message: its offset, and its record or its problem."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: Any
    problem: str = ""


async def last(bootstrap_servers: str, registry: Registry, topic: Topic, *, count: int | None) -> list[TailEntry]:
    """Return the last `count` messages of a topic, or all if None, in the order of their timestamps."""
    consumer, ends = await _open(bootstrap_servers, topic)
    try:
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(list(ends))
        for tp, end in ends.items():
            consumer.seek(tp, starts[tp] if count is None else max(starts[tp], end - count))
        entries: list[TailEntry] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                entries += [await _entry(registry, topic, record) for record in records]
    finally:
        await consumer.stop()
    entries.sort(key=lambda entry: (entry.at_ms, entry.partition, entry.offset))
    return entries if count is None else entries[-count:] if count else []


async def follow(bootstrap_servers: str, registry: Registry, topic: Topic) -> AsyncIterator[TailEntry]:
    """Yield new messages forever."""
    consumer, ends = await _open(bootstrap_servers, topic)
    try:
        for tp, end in ends.items():
            consumer.seek(tp, end)
        async for record in consumer:
            yield await _entry(registry, topic, record)
    finally:
        await consumer.stop()


async def _open(bootstrap_servers: str, topic: Topic) -> tuple[AIOKafkaConsumer, dict[TopicPartition, int]]:
    """Return a consumer of all partitions, in no consumer group, and their end offsets."""
    consumer = kafka_consumer(bootstrap_servers)
    await consumer.start()
    partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    consumer.assign(partitions)
    return consumer, await consumer.end_offsets(partitions)


async def _entry(registry: Registry, topic: Topic, record: Any) -> TailEntry:
    value, problem = None, ""
    codec = registry.codec(topic.record)
    try:
        try:
            value = codec.decode(record.value)
        except UnseenSchemaError as unseen:
            await registry.learn(codec, unseen.schema_id)
            value = codec.decode(record.value)
    except DecodeError as error:
        problem = str(error)
    return TailEntry(record.partition, record.offset, record.timestamp, record.key, value, problem)
