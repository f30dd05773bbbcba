"""The Redis client that every store shares, and the errors they raise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import DataError, RedisError, ResponseError

_REFUSALS = (
    *("WRONGTYPE", "not a valid float", "not a float", "not an integer", "invalid expire time"),
    "exceeds maximum allowed size",
)
"""What Redis says where a value, or its key, is at fault."""


class StoreError(RuntimeError):
    """A store did not answer as it should: it is away, full, or not ready."""

    def __init__(self, doing: str, cause: BaseException) -> None:
        self.doing = doing
        super().__init__(f"{doing}: {type(cause).__name__}: {cause}")


class RefusedError(StoreError):
    """A store refused a value. It would refuse the same value again, and takes others."""

    reason = "store_refused"


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
    """Turn the client's errors into `StoreError`, and those of single values into `RefusedError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        kind = RefusedError if _is_refusal(error) else StoreError
        raise kind(doing, error) from error


def _is_refusal(error: Exception) -> bool:
    said = str(error)
    return isinstance(error, DataError) or (
        isinstance(error, ResponseError) and any(refusal in said for refusal in _REFUSALS)
    )
