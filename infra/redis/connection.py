"""Redis clients, and the errors of all stores."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from infra.llm.circuit_breaker import CircuitBreaker

T = TypeVar("T")

_AWAY = (RedisConnectionError, RedisTimeoutError)
_FAILURES, _COOLDOWN_S = 3, 0.5
_REFUSALS = (
    *("WRONGTYPE", "not a valid float", "not a float", "not an integer", "invalid expire time"),
    "exceeds maximum allowed size",
)
"""Parts of Redis's error messages for invalid values or keys."""


class StoreError(RuntimeError):
    """A store (Redis or PostgreSQL) failed: it is unavailable, full, or not ready."""

    def __init__(self, action: str, cause: BaseException) -> None:
        self.action = action
        super().__init__(f"{action}: {type(cause).__name__}: {cause}")


class StoreRefusedError(StoreError):
    """A store refused a value. It would refuse the same value again, but accepts others."""

    reason = "store_refused"


def connect(url: str, *, timeout_s: float = 5.0) -> Redis:
    """Return a client; it connects at the first use.

    One immediate retry restores connections that a restart of Redis has cut; longer retries belong to a higher level.
    """
    return Redis.from_url(url, **_options(timeout_s), retry=Retry(NoBackoff(), 1))


def connect_fail_fast(url: str, *, timeout_s: float) -> Redis:
    """Return a client for interactive callers, with a circuit breaker.

    A command fails after `timeout_s` seconds and is not sent again. After some consecutive failures all commands fail
    immediately, except for one every half second as a probe.
    """
    return _FailFastRedis.from_url(url, **_options(timeout_s), retry=Retry(NoBackoff(), 1, (RedisConnectionError,)))


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "protocol": 2,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(timeout_s, 2.0),
        "socket_keepalive": True,
    }


class _Guard:
    """Runs commands through a circuit breaker."""

    def __init__(self) -> None:
        self._breaker = CircuitBreaker(failures=_FAILURES, cooldown_s=_COOLDOWN_S)

    async def run(self, command: Callable[[], Awaitable[T]]) -> T:
        if not self._breaker.allows(time.monotonic()):
            raise RedisConnectionError("Redis did not answer lately and is left alone")
        try:
            result = await command()
        except _AWAY:
            self._breaker.record_failure(time.monotonic())
            raise
        self._breaker.record_success()
        return result


class _FailFastRedis(Redis):
    """A client whose commands and pipelines share one circuit breaker."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard = _Guard()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        command = super().execute_command
        return await self._guard.run(lambda: command(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        return _FailFastPipeline(self._guard, self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _FailFastPipeline(Pipeline):
    def __init__(self, guard: _Guard, *args: Any) -> None:
        super().__init__(*args)
        self._guard = guard

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        execute = super().execute
        return await self._guard.run(lambda: execute(raise_on_error))


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Convert the client's errors into `StoreError`, and those of invalid values into `StoreRefusedError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        kind = StoreRefusedError if _is_refusal(error) else StoreError
        raise kind(action, error) from error


def _is_refusal(error: Exception) -> bool:
    message = str(error)
    return isinstance(error, DataError) or (
        isinstance(error, ResponseError) and any(refusal in message for refusal in _REFUSALS)
    )
