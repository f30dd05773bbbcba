"""Decoded tail of a topic, for inspection: its last records and those that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.registry import Registry
from schemas.codec import DecodeError
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
    async with _opened(bootstrap_servers, topic) as (consumer, ends):
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(list(ends))
        for tp, end in ends.items():
            consumer.seek(tp, starts[tp] if count is None else max(starts[tp], end - count))
        entries: list[TailEntry] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500, max_records=5_000)).values():
                entries += [await _entry(registry, topic, record) for record in records]
    entries.sort(key=lambda entry: (entry.at_ms, entry.partition, entry.offset))
    return entries if count is None else entries[-count:] if count else []


async def follow(bootstrap_servers: str, registry: Registry, topic: Topic) -> AsyncIterator[TailEntry]:
    """Yield new messages forever."""
    async with _opened(bootstrap_servers, topic) as (consumer, ends):
        for tp, end in ends.items():
            consumer.seek(tp, end)
        async for record in consumer:
            yield await _entry(registry, topic, record)


@asynccontextmanager
async def _opened(
    bootstrap_servers: str, topic: Topic
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """Open a consumer of all partitions, in no consumer group, with their end offsets."""
    partitions = partitions_of(topic)
    async with started(kafka_consumer(bootstrap_servers)) as consumer:
        consumer.assign(partitions)
        yield consumer, await consumer.end_offsets(partitions)


async def _entry(registry: Registry, topic: Topic, record: Any) -> TailEntry:
    value, problem = None, ""
    try:
        value = await registry.decode(registry.codec(topic.record), record.value)
    except DecodeError as error:
        problem = str(error)
    return TailEntry(record.partition, record.offset, record.timestamp, record.key, value, problem)
