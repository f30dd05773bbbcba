"""How far collections have come: `collection:{name}` in Redis, which records were published, and who is who there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from infra.socialverse import LISTS

KEY, PUBLISHED, USERS = "collection:", "collection:published:", "collection:users"


class Collection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One collection, under way or the last one. Times are in ms since the epoch."""

    name: str
    state: Literal["never", "running", "done", "failed"] = "never"
    request_id: str = ""
    page: int = 1
    """The page that comes next."""
    page_size: int = 1_000
    records: int = 0
    published: int = 0
    repeated: int = 0
    """Records that had been published before."""
    bad: int = 0
    """Records that became dead letters."""
    started_at: int = 0
    updated_at: int = 0
    error: str = ""


class CollectionStore(Protocol):
    """Every method raises `StoreError` when the store does not answer."""

    async def write(self, collection: Collection) -> None:
        """Keep how far a collection has come."""
        ...

    async def read(self) -> dict[str, Collection]:
        """Return all collections by name."""
        ...

    async def new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say of each record whether it is still to be published."""
        ...

    async def note(self, name: str, record_ids: Sequence[str]) -> None:
        """Note that records were published."""
        ...

    async def name_users(self, usernames: Mapping[str, str]) -> None:
        """Keep users' names by their numbers."""
        ...

    async def users(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users, None of who is not known."""
        ...


class MemoryCollectionStore:
    """The collections of one process."""

    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}
        self._published: set[tuple[str, str]] = set()
        self._users: dict[str, str] = {}

    async def write(self, collection: Collection) -> None:
        """Keep how far a collection has come."""
        self._collections[collection.name] = collection

    async def read(self) -> dict[str, Collection]:
        """Return all collections by name."""
        return {name: self._collections.get(name, Collection(name=name)) for name in LISTS}

    async def new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say of each record whether it is still to be published."""
        return [(name, record_id) not in self._published for record_id in record_ids]

    async def note(self, name: str, record_ids: Sequence[str]) -> None:
        """Note that records were published."""
        self._published |= {(name, record_id) for record_id in record_ids}

    async def name_users(self, usernames: Mapping[str, str]) -> None:
        """Keep users' names by their numbers."""
        self._users |= usernames

    async def users(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users."""
        return [self._users.get(number) for number in numbers]


class RedisCollectionStore:
    """Collections in Redis. What is lost with it is collected again and counts once: an event's id is its record's."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._decoder = msgspec.json.Decoder(Collection)

    async def write(self, collection: Collection) -> None:
        """Keep how far a collection has come."""
        with store_errors("writing a collection"):
            await self._redis.set(KEY + collection.name, msgspec.json.encode(collection))

    async def read(self) -> dict[str, Collection]:
        """Return all collections by name."""
        with store_errors("reading collections"):
            documents = await self._redis.mget([KEY + name for name in LISTS])
        return {
            name: Collection(name=name) if data is None else self._decoder.decode(data)
            for name, data in zip(LISTS, documents, strict=True)
        }

    async def new(self, name: str, record_ids: Sequence[str]) -> list[bool]:
        """Say of each record whether it is still to be published."""
        if not record_ids:
            return []
        with store_errors("looking for what was published"):
            memberships = cast("list[int]", await self._redis.smismember(PUBLISHED + name, list(record_ids)))
        return [not is_member for is_member in memberships]

    async def note(self, name: str, record_ids: Sequence[str]) -> None:
        """Note that records were published."""
        if record_ids:
            with store_errors("noting what was published"):
                await self._redis.sadd(PUBLISHED + name, *record_ids)

    async def name_users(self, usernames: Mapping[str, str]) -> None:
        """Keep users' names by their numbers."""
        if usernames:
            with store_errors("keeping users' names"):
                await self._redis.hset(USERS, items=[part for pair in usernames.items() for part in pair])

    async def users(self, numbers: Sequence[str]) -> list[str | None]:
        """Return the names of users."""
        if not numbers:
            return []
        with store_errors("reading users' names"):
            usernames = cast("list[bytes | None]", await self._redis.hmget(USERS, list(numbers)))
        return [None if name is None else name.decode() for name in usernames]
