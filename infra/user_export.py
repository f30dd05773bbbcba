"""Export of a user: all that Redis, PostgreSQL and the topics hold of one person, bounded in time and in size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from redis.asyncio import Redis

from infra import clock
from infra.erasure.erasure_index import ErasureKey
from infra.error import OperatorError
from infra.kafka.consumer import partitions_of
from infra.kafka.readers.record_window import WindowReader, partition_of_key, window_reader
from infra.kafka.registry import Registry
from infra.postgres.pool import LazyPool
from infra.postgres.user_rows import TABLES, user_rows
from infra.redis.connection import StoreError
from infra.redis.user_keys import read_keys
from schemas.codec import DecodeError
from schemas.types import DeadLetter
from topics import TOPICS, Topic
from topics.topic import (
    DEAD_LETTERS,
    EARLY_OUTCOMES,
    ERASURES,
    IMPRESSIONS,
    INTERACTIONS,
    OUTCOMES,
    PUSH_TOKENS,
    SHADOW_COMPARISONS,
)

MAX_ROWS = 50_000
"""Largest number of rows of a table, and of records of a topic."""
_TOPICS_WITHIN_S = 20.0
_ELSEWHERE = (INTERACTIONS, IMPRESSIONS, OUTCOMES, EARLY_OUTCOMES, SHADOW_COMPARISONS, PUSH_TOKENS)
"""Topics whose records are in the tables of the archive, or among the devices."""


class UserExport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a user."""

    user_id: str
    exported_at: int
    """In ms since the epoch."""
    redis: dict[str, Any]
    """Content by store."""
    archive: dict[str, list[dict[str, Any]]]
    """The newest rows by table, newest first."""
    topics: dict[str, list[Any]]
    """Records by topic, oldest first, as long as the topic keeps them."""
    cut: list[str]
    """Tables and topics with more than is shown: for lack of room, or of time."""


class UserExporter(Protocol):
    """Exports users."""

    async def export(self, user_id: str) -> UserExport:
        """Return all that is known of a user.

        Raises:
            StoreError: Redis, PostgreSQL or Kafka does not answer.
        """
        ...


class EmptyUserExporter:
    """Knows nothing of anybody."""

    async def export(self, user_id: str) -> UserExport:
        """Return an empty export."""
        return UserExport(user_id=user_id, exported_at=clock.now_ms(), redis={}, archive={}, topics={}, cut=[])


class StackUserExporter:
    """Reads the servers of a stack. Of a topic only the user's partition is read, but all of it."""

    def __init__(
        self, redis: Redis, connections: LazyPool, bootstrap_servers: str, registry: Registry, key: ErasureKey | None
    ) -> None:
        """Create an exporter.

        Args:
            redis: Client.
            connections: Connections to PostgreSQL.
            bootstrap_servers: Brokers, as comma-separated host:port.
            registry: Decodes the records.
            key: The key of the hashes of erased users.
        """
        self._redis, self._connections, self._bootstrap_servers = redis, connections, bootstrap_servers
        self._registry, self._key = registry, key

    async def export(self, user_id: str) -> UserExport:
        """Return all that is known of a user."""
        cut: list[str] = []
        archive: dict[str, list[dict[str, Any]]] = {}
        async with self._connections.read_connection("exporting a user") as connection:
            for table in TABLES:
                rows = await user_rows(connection, user_id, table, limit=MAX_ROWS + 1)
                cut += [table] if len(rows) > MAX_ROWS else []
                archive[table] = rows[:MAX_ROWS]
        records, cut_topics = await self._records(user_id)
        return UserExport(
            user_id=user_id,
            exported_at=clock.now_ms(),
            redis=await read_keys(self._redis, user_id),
            archive=archive,
            topics=records,
            cut=cut + cut_topics,
        )

    async def _records(self, user_id: str) -> tuple[dict[str, list[Any]], list[str]]:
        """Return the user's records by topic, and the topics with more."""
        topics = [topic for topic in TOPICS if topic.is_personal and topic not in _ELSEWHERE]
        by_topic: dict[str, list[Any]] = {}
        unread = [topic.short_name for topic in topics]
        try:
            async with asyncio.timeout(_TOPICS_WITHIN_S), window_reader(self._bootstrap_servers) as reader:
                since_ms = await self._since(reader, user_id)
                for topic in topics:
                    values = by_topic[topic.short_name] = []
                    async with aclosing(self._values(reader, topic, user_id, since_ms)) as stream:
                        async for value in stream:
                            values.append(value)
                            if len(values) == MAX_ROWS:
                                break
                        else:
                            unread.remove(topic.short_name)
        except TimeoutError:
            pass  # the rest is named as cut
        except (OperatorError, KafkaError) as error:
            raise StoreError("exporting a user", error) from error
        return {name: values for name, values in by_topic.items() if values}, unread

    async def _since(self, reader: WindowReader, user_id: str) -> int:
        """Return the append time from which records count: the first after the user's last erasure."""
        if self._key is None:
            return 0
        newest = await reader.newest(ERASURES, self._key.hash_of(user_id.encode()).encode())
        return 0 if newest is None else newest.timestamp + 1

    async def _values(
        self, reader: WindowReader, topic: Topic, user_id: str, since_ms: int
    ) -> AsyncGenerator[Any, None]:
        key = user_id.encode()
        partitions = partitions_of(topic) if topic is DEAD_LETTERS else [partition_of_key(topic, key)]
        async for records in reader.forwards(await reader.window(partitions, since_ms=since_ms or None)):
            for record in records:
                value = await self._value(topic, record, key)
                if value is not None:
                    yield value

    async def _value(self, topic: Topic, record: ConsumerRecord, key: bytes) -> Any:
        """Return the value of a record that belongs to the user, None for another one or a deletion."""
        if record.value is None or (topic is not DEAD_LETTERS and record.key != key):
            return None
        try:
            value = await self._registry.decode(self._registry.codec(topic.record), record.value)
        except DecodeError:
            return msgspec.Raw(msgspec.json.encode(record.value)) if record.key == key else None
        return value if not isinstance(value, DeadLetter) or value.key == key else None
