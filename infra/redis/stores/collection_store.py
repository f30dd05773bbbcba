"""Progress of collections, at `collection:{name}` in Redis, with the published records and the users' names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from infra.socialverse import LISTS

KEY, PUBLISHED, USERS = "collection:", "collection:published:", "collection:users"


class Collection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Progress of the running or the last collection of a list. Times are in ms since the epoch."""

    name: str
    state: Literal["never", "running", "done", "failed"] = "never"
    request_id: str = ""
    page: int = 1
    """The next page."""
    page_size: int = 1_000
    records: int = 0
    published: int = 0  # wire
    repeated: int = 0  # wire
    """Number of records that had been published before."""
    bad: int = 0
    """Number of records sent to the dead-letter topic."""
    started_at: int = 0
    updated_at: int = 0
    error: str = ""


class CollectionStore(Protocol):
    """Progress of collections. All methods raise `StoreError` if the store does not answer."""

    async def write(self, collection: Collection) -> None:
        """Store the progress of a collection."""
        ...

    async def read(self) -> dict[str, Collection]:
        """Return the progress of all collections by name."""
        ...

    async def are_new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say for each record whether it has not been published yet.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        ...

    async def mark_published(self, name: str, record_ids: Sequence[str]) -> None:
        """Mark records as published.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        ...

    async def write_usernames(self, usernames: Mapping[str, str]) -> None:
        """Store the names of users by their numeric ids."""
        ...

    async def usernames(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users by their numeric ids, None for unknown ones."""
        ...


class MemoryCollectionStore:
    """Collections in memory."""

    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}
        self._published_ids: set[tuple[str, str]] = set()
        self._users: dict[str, str] = {}

    async def write(self, collection: Collection) -> None:
        """Store the progress of a collection."""
        self._collections[collection.name] = collection

    async def read(self) -> dict[str, Collection]:
        """Return the progress of all collections by name."""
        return {name: self._collections.get(name, Collection(name=name)) for name in LISTS}

    async def are_new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say for each record whether it has not been published yet.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        return [(name, record_id) not in self._published_ids for record_id in record_ids]

    async def mark_published(self, name: str, record_ids: Sequence[str]) -> None:
        """Mark records as published.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        self._published_ids |= {(name, record_id) for record_id in record_ids}

    async def write_usernames(self, usernames: Mapping[str, str]) -> None:
        """Store the names of users by their numeric ids."""
        self._users |= usernames

    async def usernames(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users by their numeric ids."""
        return [self._users.get(number) for number in numbers]


class RedisCollectionStore:
    """Collections in Redis. Lost progress only causes duplicates, which count once: event ids come from record ids."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(Collection)

    async def write(self, collection: Collection) -> None:
        """Store the progress of a collection."""
        with store_errors("writing a collection"):
            await self._redis.set(KEY + collection.name, msgspec.json.encode(collection))

    async def read(self) -> dict[str, Collection]:
        """Return the progress of all collections by name."""
        with store_errors("reading collections"):
            documents = await self._redis.mget([KEY + name for name in LISTS])
        return {
            name: Collection(name=name) if data is None else self._decoder.decode(data)
            for name, data in zip(LISTS, documents, strict=True)
        }

    async def are_new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say for each record whether it has not been published yet.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        if not record_ids:
            return []
        with store_errors("reading the published records"):
            memberships = cast("list[int]", await self._redis.smismember(PUBLISHED + name, list(record_ids)))
        return [not is_member for is_member in memberships]

    async def mark_published(self, name: str, record_ids: Sequence[str]) -> None:
        """Mark records as published.

        Args:
            name: Name of the collection.
            record_ids: Ids of the records.
        """
        if record_ids:
            with store_errors("recording the published records"):
                await self._redis.sadd(PUBLISHED + name, *record_ids)

    async def write_usernames(self, usernames: Mapping[str, str]) -> None:
        """Store the names of users by their numeric ids."""
        if usernames:
            with store_errors("storing users' names"):
                await self._redis.hset(USERS, items=[part for pair in usernames.items() for part in pair])

    async def usernames(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users by their numeric ids."""
        if not numbers:
            return []
        with store_errors("reading users' names"):
            usernames = cast("list[bytes | None]", await self._redis.hmget(USERS, list(numbers)))
        return [None if name is None else name.decode() for name in usernames]
