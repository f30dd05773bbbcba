"""Notices of changed keys: Redis' client-side caching (`CLIENT TRACKING`, broadcast mode) over one connection.

Redis sends a notice when a key is written, deleted, expired, evicted or flushed, whoever does it, in the same turn in
which it acknowledges the change. A connection that is silent for a second is probed, so that a broken one is noticed
after two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from infra.redis.connection import store_errors

OnChange = Callable[[Sequence[str] | None], None]
"""Called with the ids of changed entries; with None where any may have changed; with none of them as a sign of life."""
SIGN_OF_LIFE_S = 1.0
"""Longest time between two calls of an `OnChange`, in seconds."""
_CHANNEL = "__redis__:invalidate"


async def follow_keys(redis: Redis, prefix: str, on_change: OnChange) -> None:
    """Report the keys that change, until cancelled; the first call, with None, means that all changes are reported.

    Args:
        redis: The client; the notices take a connection of their own.
        prefix: Prefix of the keys; their ids are the rest.
        on_change: Called with the ids.

    Raises:
        StoreError: the connection is lost.
    """
    connection: Any = redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    with store_errors("following changes"):
        try:
            await connection.connect()
            number = await _ask(connection, "CLIENT", "ID")
            await _ask(connection, "CLIENT", "TRACKING", "ON", "REDIRECT", number, "BCAST", "PREFIX", prefix)
            await _ask(connection, "SUBSCRIBE", _CHANNEL)
            on_change(None)
            is_probing = False
            while True:
                message = await connection.read_response(timeout=SIGN_OF_LIFE_S)
                if message is not None:
                    is_probing = False
                    on_change(_changed_ids(message, prefix))
                elif is_probing:
                    raise RedisTimeoutError(f"no answer within {SIGN_OF_LIFE_S} s")
                else:
                    is_probing = True
                    await connection.send_command("PING")
        finally:
            await connection.disconnect(nowait=True)


async def _ask(connection: Any, *command: Any) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


def _changed_ids(message: Sequence[Any], prefix: str) -> list[str] | None:
    """Return the ids in a message, None if all keys were flushed."""
    if message[0] != b"message":
        return []
    return None if message[2] is None else [key.decode(errors="replace").removeprefix(prefix) for key in message[2]]
