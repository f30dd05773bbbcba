"""The Redis client that every store shares, and the one error they raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError


class StoreError(RuntimeError):
    """Redis did not answer as it should."""

    def __init__(self, doing: str, cause: BaseException) -> None:
        self.doing = doing
        super().__init__(f"{doing}: {type(cause).__name__}: {cause}")


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """Return a client; it connects when it is first used.

    One retry without a pause brings connections back that a restart of Redis has cut; who waits longer, waits at a
    higher level.
    """
    return Redis.from_url(
        url,
        protocol=2,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1),
    )


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn the client's errors into `StoreError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreError(doing, error) from error
