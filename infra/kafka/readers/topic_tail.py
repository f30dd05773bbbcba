"""Decoded tail of a topic, for inspection: its last records and those that follow."""

from __future__ import annotations

import operator
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition

from infra.kafka.consumer import kafka_consumer, partitions_of, started
from infra.kafka.readers.record_window import partition_of_key, window_reader
from infra.kafka.registry import Registry
from schemas.codec import DecodeError
from topics import Topic

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "~": lambda value, part: str(part) in str(value),
}
_CONDITION = re.compile(r"\s*([\w.]+)\s*(!=|>=|<=|=|>|<|~)\s*(.*?)\s*")


class Condition(NamedTuple):
    """A comparison of a field of a record, as in `action=like`, `value>=4` or `context.surface~home`."""

    path: tuple[str, ...]
    operator: str
    operand: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Return the condition of a text.

        Raises:
            ValueError: it is none.

        >>> Condition.parse("context.surface != home")
        Condition(path=('context', 'surface'), operator='!=', operand='home')
        """
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ValueError(text)
        return cls(tuple(match[1].split(".")), match[2], match[3])

    def holds(self, record: Any) -> bool:
        """Say whether a record, as plain values, meets the condition. A missing field equals nothing but null.

        >>> record = {"action": "rate", "value": 4.5, "context": {"surface": "home"}, "query": None}
        >>> [Condition.parse(text).holds(record) for text in ("value>=4", "context.surface~om", "query=null", "x<1")]
        [True, True, True, False]
        """
        value = record
        for name in self.path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            with suppress(ValueError):
                return _OPERATORS[self.operator](value, float(self.operand))
        if self.operator in ("=", "!="):
            return _OPERATORS[self.operator](_text(value), self.operand)
        return value is not None and _OPERATORS[self.operator](_text(value), self.operand)


@dataclass(frozen=True, slots=True)
class TailFilter:
    """Messages to show: those that meet all that is given."""

    key: bytes | None = None
    partition: int | None = None
    from_offset: int = 0
    from_ms: int | None = None
    """Append time in ms since the epoch."""
    until_ms: int | None = None
    conditions: tuple[Condition, ...] = ()

    def partitions(self, topic: Topic) -> list[TopicPartition]:
        """Return the partitions that may hold such messages."""
        if self.partition is not None:
            return [TopicPartition(topic.name, self.partition)]
        return partitions_of(topic) if self.key is None else [partition_of_key(topic, self.key)]

    def matches(self, entry: TailEntry) -> bool:
        """Say whether a message passes; one that cannot be decoded meets no condition."""
        if self.key not in (None, entry.key) or (self.until_ms is not None and entry.at_ms >= self.until_ms):
            return False
        record = msgspec.to_builtins(entry.value) if self.conditions else None
        return all(condition.holds(record) for condition in self.conditions)


EVERYTHING = TailFilter()


@dataclass(frozen=True, slots=True)
class TailEntry:
    """One message: its offset, and its record or its problem."""

    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: Any
    problem: str = ""


async def last(
    bootstrap_servers: str,
    registry: Registry,
    topic: Topic,
    *,
    count: int | None,
    tail_filter: TailFilter = EVERYTHING,
) -> list[TailEntry]:
    """Return the last messages of a topic that pass a filter, in the order of their timestamps.

    Args:
        bootstrap_servers: Brokers, as comma-separated host:port.
        registry: Decodes the messages.
        topic: The topic.
        count: Maximum number of messages; None for all.
        tail_filter: The filter. With one, all messages of its times are read.
    """
    entries: list[TailEntry] = []
    async with window_reader(bootstrap_servers) as reader:
        window = await reader.window(
            tail_filter.partitions(topic), since_ms=tail_filter.from_ms, until_ms=tail_filter.until_ms
        )
        for tp, offsets in window.items():
            start = max(offsets.start, tail_filter.from_offset)
            if count is not None and tail_filter == EVERYTHING:
                start = max(start, offsets.stop - count)
            window[tp] = range(start, offsets.stop)
        async for records in reader.forwards(window):
            entries += filter(tail_filter.matches, [await _entry(registry, topic, record) for record in records])
    entries.sort(key=lambda entry: (entry.at_ms, entry.partition, entry.offset))
    return entries if count is None else entries[-count:] if count else []


async def follow(
    bootstrap_servers: str, registry: Registry, topic: Topic, *, tail_filter: TailFilter = EVERYTHING
) -> AsyncIterator[TailEntry]:
    """Yield new messages that pass a filter, forever."""
    partitions = tail_filter.partitions(topic)
    async with started(kafka_consumer(bootstrap_servers)) as consumer:
        consumer.assign(partitions)
        for tp, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(tp, max(end, tail_filter.from_offset))
        async for record in consumer:
            entry = await _entry(registry, topic, record)
            if tail_filter.matches(entry):
                yield entry


async def _entry(registry: Registry, topic: Topic, record: Any) -> TailEntry:
    value, problem = None, ""
    try:
        value = await registry.decode(registry.codec(topic.record), record.value)
    except DecodeError as error:
        problem = str(error)
    return TailEntry(record.partition, record.offset, record.timestamp, record.key, value, problem)


def _text(value: Any) -> str:
    """Return a plain value as text, one that is no text as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
