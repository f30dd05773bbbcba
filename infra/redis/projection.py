"""Markers, in a store itself, of the partitions of topics that the store holds completely.

Redis and PostgreSQL hold projections: all their data was written from topics. The role that writes a projection marks
each partition that the store holds completely, and checks its markers every second. A store that was emptied or
recreated has lost them with all other data, so partitions without a marker are read again from the beginning.
`millrace rebuild` removes the markers for the same effect.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from redis.asyncio import Redis

from infra.postgres.pool import CONNECTION_ERRORS
from infra.redis.connection import StoreError, store_errors
from topics import Topic
from topics.topic import (
    DEVICES,
    EXPERIMENTS,
    FEATURES,
    FEEDS,
    IMPRESSIONS,
    INTERACTIONS,
    ITEM_EMBEDDINGS,
    ITEM_STATS,
    ITEMS,
    NOTIFICATIONS,
    OUTCOMES,
    PROFILES,
)

KEY = "projected"
LOOK_S = 1.0
"""Interval of a role's checks for its markers."""
REDIS_ROLES = {
    **dict.fromkeys((ITEMS, FEEDS), "feed"),
    **dict.fromkeys((INTERACTIONS, FEATURES, PROFILES, ITEM_STATS, EXPERIMENTS), "log"),
    **dict.fromkeys((DEVICES, NOTIFICATIONS), "push"),
}
DATABASE_ROLES = dict.fromkeys((INTERACTIONS, ITEMS, IMPRESSIONS, OUTCOMES, FEEDS, ITEM_EMBEDDINGS), "archive")
"""The role that fills each store from a topic."""


def partition_name(topic: Topic | str, partition: int) -> str:
    """Return the name of a partition's marker."""
    return f"{topic if isinstance(topic, str) else topic.name}-{partition}"


class Projection(Protocol):
    """The markers in a store. All methods raise `StoreError` if the store does not answer."""

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return the partitions without a marker."""
        ...

    async def add(self, names: Collection[str]) -> None:
        """Mark partitions as complete."""
        ...

    async def forget(self, topic: Topic | None = None) -> None:
        """Remove the markers of a topic, or of all topics."""
        ...


class RedisProjection:
    """The markers in Redis: a hash."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return the partitions without a marker."""
        partitions = list(names)
        with store_errors("reading the markers of projections"):
            notes: list[Any] = await self._redis.hmget(KEY, partitions) if partitions else []
        return {name for name, note in zip(partitions, notes, strict=True) if note is None}

    async def add(self, names: Collection[str]) -> None:
        """Mark partitions as complete."""
        if names:
            with store_errors("storing markers of projections"):
                await self._redis.hset(KEY, mapping=dict.fromkeys(names, "1"))

    async def forget(self, topic: Topic | None = None) -> None:
        """Remove markers."""
        with store_errors("removing markers of projections"):
            if topic is None:
                await self._redis.delete(KEY)
            else:
                await self._redis.hdel(KEY, *(partition_name(topic, number) for number in range(topic.partitions)))


class PostgresProjection:
    """The markers in PostgreSQL: a table."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return the partitions without a marker."""
        partitions = list(names)
        rows = await self._run("SELECT name FROM projected WHERE name = ANY($1)", partitions) if partitions else []
        return set(partitions) - {row["name"] for row in rows}

    async def add(self, names: Collection[str]) -> None:
        """Mark partitions as complete."""
        await self._run("INSERT INTO projected (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", list(names))

    async def forget(self, topic: Topic | None = None) -> None:
        """Remove markers."""
        names = None if topic is None else [partition_name(topic, number) for number in range(topic.partitions)]
        await self._run("DELETE FROM projected WHERE $1::text[] IS NULL OR name = ANY($1)", names)

    async def _run(self, statement: str, names: list[str] | None) -> list[Any]:
        try:
            rows: list[Any] = await self._pool.fetch(statement, names)
        except CONNECTION_ERRORS as error:
            raise StoreError("reading or writing markers of projections", error) from error
        return rows
