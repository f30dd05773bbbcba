"""Search of Redis: the names and the content of all keys, and the log of slow commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from redis.asyncio import Redis

from infra.erasure.occurrences.id_pattern import IdPattern
from infra.redis.connection import store_errors

_KEYS, _ENTRIES = 1_000, 1_000
SLOW_COMMANDS = "log of slow commands"


async def search_redis(redis: Redis, pattern: IdPattern, *, on_progress: Callable[[int, int], None]) -> Counter[str]:
    """Return the number of occurrences of an id, by key; the id is masked in names.

    Args:
        redis: Client.
        pattern: The id.
        on_progress: Called with the number of keys so far, and of all.

    Raises:
        StoreError: Redis does not answer.
    """
    counts: Counter[str] = Counter()
    with store_errors("searching Redis"):
        total = await redis.dbsize()
        number = 0
        async for key in redis.scan_iter(count=_KEYS):
            number += 1
            if number % _KEYS == 0:
                on_progress(min(number, total), total)
            count = pattern.count(key)
            async for entry in _entries(redis, key):
                count += pattern.count_unpacked(entry)
            if count:
                counts[pattern.masked(key.decode(errors="replace"))] += count
        for command in await redis.slowlog_get(-1):
            counts[SLOW_COMMANDS] += pattern.count(bytes(command["command"]))
    return +counts


async def _entries(redis: Any, key: bytes) -> AsyncIterator[bytes]:  # noqa: PLR0912 - one branch for each type
    """Yield the content of a key, in parts."""
    kind = (await redis.type(key)).decode()
    if kind == "string":
        yield await redis.get(key) or b""
    elif kind == "list":
        for start in range(0, await redis.llen(key), _ENTRIES):
            for entry in await redis.lrange(key, start, start + _ENTRIES - 1):
                yield entry
    elif kind == "hash":
        async for name, value in redis.hscan_iter(key, count=_ENTRIES):
            yield name
            yield value
    elif kind == "set":
        async for entry in redis.sscan_iter(key, count=_ENTRIES):
            yield entry
    elif kind == "zset":
        async for entry, _ in redis.zscan_iter(key, count=_ENTRIES):
            yield entry
    elif kind == "stream":
        first_id = "-"
        while entries := await redis.xrange(key, min=first_id, count=_ENTRIES):
            for _, fields in entries:
                for name, value in fields.items():
                    yield name
                    yield value
            first_id = f"({entries[-1][0].decode()}"
