"""Markers, in a store itself, of the partitions of topics that the store holds completely.

Redis and PostgreSQL hold projections: all their data was written from topics. The role that writes a projection marks
each partition that the store holds completely, and checks its markers every second. A store that was emptied or
recreated has lost them with all other data, so partitions without a marker are read again from the beginning.
`millrace rebuild` removes the markers for the same effect.

A marker is set in two steps, so that a store that loses its data during a refill is refilled again: `begin` puts it in
place before the first record is written, and `complete` changes it after the last one only where it is still there.
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
    EARLY_OUTCOMES,
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
DATABASE_ROLES = dict.fromkeys(
    (INTERACTIONS, ITEMS, IMPRESSIONS, OUTCOMES, EARLY_OUTCOMES, FEEDS, ITEM_EMBEDDINGS), "archive"
)
"""The role that fills each store from a topic."""
_BEGUN, _COMPLETE = "0", "1"
_COMPLETE_SCRIPT = """
for _, name in ipairs(ARGV) do
  if redis.call('HEXISTS', KEYS[1], name) == 1 then
    redis.call('HSET', KEYS[1], name, '1')
  end
end
"""


def partition_name(topic: Topic | str, partition: int) -> str:
    """Return the name of a partition's marker."""
    return f"{topic if isinstance(topic, str) else topic.name}-{partition}"


class Projection(Protocol):
    """The markers in a store. All methods raise `StoreError` if the store does not answer."""

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return the partitions that are not marked as complete."""
        ...

    async def begin(self, names: Collection[str]) -> None:
        """Mark partitions as incomplete, before they are written."""
        ...

    async def complete(self, names: Collection[str]) -> None:
        """Mark partitions as complete, except those whose marker the store has lost since `begin`."""
        ...

    async def forget(self, topic: Topic | None = None) -> None:
        """Remove the markers of a topic, or of all topics."""
        ...


class RedisProjection:
    """The markers in Redis: a hash."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._complete_script = redis.register_script(_COMPLETE_SCRIPT)

    async def missing(self, names: Collection[str]) -> set[str]:
        """Return the partitions that are not marked as complete."""
        partitions = list(names)
        with store_errors("reading the markers of projections"):
            notes: list[Any] = await self._redis.hmget(KEY, partitions) if partitions else []
        return {name for name, note in zip(partitions, notes, strict=True) if note != _COMPLETE.encode()}

    async def begin(self, names: Collection[str]) -> None:
        """Mark partitions as incomplete."""
        if names:
            with store_errors("storing markers of projections"):
                await self._redis.hset(KEY, mapping=dict.fromkeys(names, _BEGUN))

    async def complete(self, names: Collection[str]) -> None:
        """Mark partitions as complete where they still have a marker."""
        if names:
            with store_errors("storing markers of projections"):
                await self._complete_script(keys=[KEY], args=list(names))

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
        """Return the partitions that are not marked as complete."""
        partitions = list(names)
        statement = "SELECT name FROM projected WHERE is_complete AND name = ANY($1)"
        rows = await self._run(statement, partitions) if partitions else []
        return set(partitions) - {row["name"] for row in rows}

    async def begin(self, names: Collection[str]) -> None:
        """Mark partitions as incomplete."""
        statement = """
            INSERT INTO projected (name, is_complete) SELECT unnest($1::text[]), false
            ON CONFLICT (name) DO UPDATE SET is_complete = false
        """
        await self._run(statement, list(names))

    async def complete(self, names: Collection[str]) -> None:
        """Mark partitions as complete where they still have a marker."""
        await self._run("UPDATE projected SET is_complete = true WHERE name = ANY($1)", list(names))

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
