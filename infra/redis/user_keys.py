"""The keys in Redis that hold data of one user, by store: how they are read, and which role erases them.

Each role erases what it writes itself, in the order of its topics, so that nothing that it read before is written
afterwards. Keys that other processes write for a user belong to the role that reads the user's requests to them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec
from redis.asyncio import Redis

from infra.redis.connection import store_errors
from infra.redis.stores import (
    collection_store,
    feed_store,
    interaction_log,
    llm_score_store,
    page_store,
    prefetch_store,
    push_store,
    shop_store,
    user_profile_store,
)
from infra.redis.stores.feed_codec import unpack

Read = Callable[[Redis, str, str], Awaitable[Any]]
"""A reader of a key, given the client, the key and the user id; its result is None without any content."""
_SCAN = 1_000


class UserKey(NamedTuple):
    """A key of each user in a store: a prefix, and the user id."""

    prefix: str
    read: Read


async def _read_json(redis: Redis, key: str, _: str) -> Any:
    data = await redis.get(key)
    return None if data is None else msgspec.Raw(data)


async def _read_text(redis: Redis, key: str, _: str) -> str | None:
    data = cast("bytes | None", await redis.get(key))  # the client does not decode
    return None if data is None else data.decode()


async def _read_msgpack(redis: Redis, key: str, _: str) -> Any:
    data = cast("bytes | None", await redis.get(key))
    return None if data is None else msgspec.msgpack.decode(data)


async def _read_feed(redis: Redis, key: str, user_id: str) -> Any:
    data = cast("bytes | None", await redis.get(key))
    return None if data is None else unpack(user_id, data)


async def _read_json_set(redis: Redis, key: str, _: str) -> Any:
    entries = cast("list[bytes]", await redis.zrange(key, 0, -1))
    return [msgspec.Raw(entry) for entry in entries] or None


async def _read_pages(redis: Redis, key: str, _: str) -> Any:
    pages = cast("list[bytes]", await redis.lrange(key, 0, -1))
    return [msgspec.msgpack.decode(page) for page in pages] or None


KEYS: Mapping[str, Mapping[str, UserKey]] = {
    "feed": {
        "feed": UserKey(feed_store.KEY, _read_feed),
        "llm scores": UserKey(llm_score_store.KEY, _read_msgpack),
        "prompts": UserKey(prefetch_store.QUESTIONS, _read_json),
    },
    "log": {
        "interactions of the last day": UserKey(interaction_log.KEY, _read_json_set),
        "offset of the last interaction": UserKey(interaction_log.PUBLISHED, _read_text),
        "inferred profile": UserKey(user_profile_store.FOUND, _read_json),
        "stated profile": UserKey(user_profile_store.STATED, _read_json),
        "location": UserKey(user_profile_store.PLACE, _read_text),
        "pages": UserKey(f"{page_store.KEY}user:", _read_pages),
        "pages as the caller": UserKey(f"{page_store.KEY}caller:", _read_pages),
    },
    "push": {
        "devices": UserKey(push_store.DEVICES, _read_json),
        "notifications": UserKey(push_store.NOTIFICATIONS, _read_json_set),
    },
    "shop": {"home page": UserKey(shop_store.HOME, _read_json)},
}
"""The keys by role and name of the store."""
PREFETCHED, _COLLECTED = "prefetched content", "collected names"


async def read_keys(redis: Redis, user_id: str) -> dict[str, Any]:
    """Return the content of all keys of a user, by name of the store.

    Raises:
        StoreError: Redis does not answer.
    """
    contents: dict[str, Any] = {}
    with store_errors("reading a user"):
        for keys in KEYS.values():
            for name, (prefix, read) in keys.items():
                if (content := await read(redis, prefix + user_id, user_id)) is not None:
                    contents[name] = content
    if answers := await prefetch_store.RedisPrefetchStore(redis).read(user_id):
        contents[PREFETCHED] = answers
    return contents


async def erase_keys(redis: Redis, user_id: str, *, role: str) -> dict[str, int]:
    """Delete the keys of a user that a role is responsible for, and return their numbers by store.

    Args:
        redis: Client.
        user_id: The user.
        role: The role; one without keys erases nothing.

    Raises:
        StoreError: Redis does not answer; a repetition is harmless.
    """
    counts = {}
    with store_errors("erasing a user"):
        for name, key in KEYS.get(role, {}).items():
            counts[name] = int(await redis.unlink(key.prefix + user_id))
        if role == "log":
            counts[_COLLECTED] = await _erase_collected(redis, user_id)
    if role == "feed":
        counts[PREFETCHED] = await prefetch_store.RedisPrefetchStore(redis).clear(user_id)
    return {f"redis: {name}": count for name, count in counts.items()}


async def _erase_collected(redis: Redis, user_id: str) -> int:
    """Delete the numbers under which an external API knows a user: a hash of all users, read in steps."""
    numbers = [
        number
        async for number, name in redis.hscan_iter(collection_store.USERS, count=_SCAN)
        if name == user_id.encode()
    ]
    return int(await redis.hdel(collection_store.USERS, *numbers)) if numbers else 0
