"""What a store holds of the topics that it is filled from, noted in the store itself.

Redis and PostgreSQL hold projections: whatever is in them was written from a topic. The role that writes one notes
each partition that the store has whole, and looks every second whether its notes are still there. A store that was
emptied or made anew has lost them with all the rest, so the partitions without a note are read again from their
beginning. `millrace rebuild` takes the notes away to the same end.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from redis.asyncio import Redis

from infra.postgres import pool as database
from infra.redis.connection import StoreError, store_errors
from topics import Topic
from topics.topic import (
    DEVICES,
    EXPERIMENTS,
    FEATURES,
    FEEDS,
    INTERACTIONS,
    ITEM_STATS,
    ITEMS,
    NOTIFICATIONS,
    PROFILES,
)

KEY = "projected"
LOOK_S = 1.0
"""How often a role looks for its notes."""
REDIS_ROLES = {
    **dict.fromkeys((ITEMS, FEEDS), "feed"),
    **dict.fromkeys((INTERACTIONS, FEATURES, PROFILES, ITEM_STATS, EXPERIMENTS), "log"),
    **dict.fromkeys((DEVICES, NOTIFICATIONS), "push"),
}
DATABASE_ROLES = dict.fromkeys((INTERACTIONS, ITEMS), "archive")
"""The role that fills each store from a topic."""


def partition_name(topic: Topic | str, partition: int) -> str:
    """Return what a partition is noted as."""
    return f"{topic if isinstance(topic, str) else topic.name}-{partition}"


class Projection(Protocol):
    """The notes in a store. Every method raises `StoreError` when the store does not answer."""

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return which of some partitions the store does not hold."""
        ...

    async def add(self, names: Collection[str]) -> None:
        """Note that the store holds some partitions."""
        ...

    async def forget(self, topic: Topic | None = None) -> None:
        """Take back what is noted of a topic, or of all."""
        ...


class RedisProjection:
    """The notes of Redis: a hash."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return which of some partitions Redis does not hold."""
        partitions = list(names)
        with store_errors("looking for what Redis holds"):
            notes: list[Any] = await self._redis.hmget(KEY, partitions) if partitions else []
        return {name for name, note in zip(partitions, notes, strict=True) if note is None}

    async def add(self, names: Collection[str]) -> None:
        """Note that Redis holds some partitions."""
        if names:
            with store_errors("noting what Redis holds"):
                await self._redis.hset(KEY, mapping=dict.fromkeys(names, "1"))

    async def forget(self, topic: Topic | None = None) -> None:
        """Take back what is noted."""
        with store_errors("taking back what Redis holds"):
            if topic is None:
                await self._redis.delete(KEY)
            else:
                await self._redis.hdel(KEY, *(partition_name(topic, number) for number in range(topic.partitions)))


class PostgresProjection:
    """The notes of PostgreSQL: a table."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return which of some partitions PostgreSQL does not hold."""
        partitions = list(names)
        rows = await self._run("SELECT name FROM projected WHERE name = ANY($1)", partitions) if partitions else []
        return set(partitions) - {row["name"] for row in rows}

    async def add(self, names: Collection[str]) -> None:
        """Note that PostgreSQL holds some partitions."""
        await self._run("INSERT INTO projected (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", list(names))

    async def forget(self, topic: Topic | None = None) -> None:
        """Take back what is noted."""
        names = None if topic is None else [partition_name(topic, number) for number in range(topic.partitions)]
        await self._run("DELETE FROM projected WHERE $1::text[] IS NULL OR name = ANY($1)", names)

    async def _run(self, statement: str, names: list[str] | None) -> list[Any]:
        try:
            rows: list[Any] = await self._pool.fetch(statement, names)
        except database.AWAY as error:
            raise StoreError("asking for what PostgreSQL holds", error) from error
        return rows
