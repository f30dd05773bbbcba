"""Health of the pipeline behind the API: its roles, writes to Redis, and records deleted before they were read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domain.timestamp import DAY_MS
from infra import clock
from infra.kafka.admin import consumer_lag
from infra.kafka.admin.consumer_lag import ConsumerLag, Counts
from infra.kafka.admin.provision import APP_ID
from infra.redis import heartbeat
from infra.redis.connection import StoreError, store_errors
from infra.redis.heartbeat import RoleLife
from infra.settings import Settings, comma_separated

MISSING_AFTER_MS = 30_000
"""Silence after which a role is reported as missing, in ms."""
CRASHES, CRASHES_WITHIN_MS = 3, 300_000
"""Number of failed processes of a role, and the period in ms, that make a crash loop."""
_KAFKA_EVERY_S = 15.0
_WRITTEN_KEY, _WRITTEN_TTL_MS = "health:written", 60_000
_GAPS_KEY, _GAPS_TTL_MS = "health:deleted_unread", 7 * DAY_MS
_LOG = logging.getLogger(__name__)

RoleState = Literal["up", "late", "missing", "crash_loop"]


class RoleHealth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The health of one role.

    up: it writes heartbeats; late: it has written none for some seconds; missing: none for longer, or never;
    crash_loop: it fails and is restarted repeatedly.
    """

    state: RoleState
    processes: int
    """Number of processes that write heartbeats."""
    last_seen_at: int | None = None
    """Time of the last heartbeat, in ms since the epoch."""
    crashes: int = 0
    """Number of processes without an orderly end within the last five minutes, including late ones."""


class PipelineHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of the pipeline."""

    status: Literal["ok", "degraded"]
    problems: list[str]
    """Descriptions of all problems, worst first."""
    roles: dict[str, RoleHealth]
    """Expected roles, and roles that ran within the last day and were not stopped in order."""
    redis_writes: Literal["ok", "refused"]
    """refused: Redis is out of memory, read-only or cannot write to its disk."""
    deleted_unread: Counts
    """Records that retention deleted within the last week before a consumer group had read them, by group and topic."""


class PipelineReader:
    """Reads the health of the pipeline from Redis and, less often, from Kafka, which takes longer to answer."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings, self._redis = settings, redis
        self._consumption = ConsumerLag()
        self._asked_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def read(self) -> PipelineHealth:
        """Return the health of the pipeline, with the last known state of Kafka.

        Raises:
            StoreError: Redis does not answer.
        """
        refusal_reason = await writes_refused(self._redis)
        roles = judge(await heartbeat.role_lives(self._redis), expected_roles(self._settings), now_ms=clock.now_ms())
        if self._asking is None and time.monotonic() - self._asked_s > _KAFKA_EVERY_S:
            self._asking = asyncio.ensure_future(self._ask())
        recorded_counts = await read_gaps(self._redis)
        return health(roles, refusal_reason, self._consumption.deleted_counts, recorded_counts, now_ms=clock.now_ms())

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self._settings.kafka_bootstrap_servers, "log_level": 0})

    async def close(self) -> None:
        """Stop requests in flight."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            self._consumption = await asyncio.to_thread(consumer_lag.read, self._admin, prefix=APP_ID)
            await record_gaps(self._redis, self._consumption.gaps)
        except (KafkaException, StoreError) as error:
            _LOG.warning("the lag of consumer groups cannot be read: %s", error)
        finally:
            self._asked_s = time.monotonic()
            self._asking = None


def expected_roles(settings: Settings) -> list[str]:
    """Return the roles that should run: those in the settings, else those of a local stack in the home folder."""
    configured_roles = comma_separated(settings.expected_roles)
    return configured_roles or sorted(
        role
        for record in (settings.millrace_home / "run").glob("worker-*.json")
        for role in record.stem.removeprefix("worker-").split("-")
    )


def log_of(role: str, home: Path) -> Path | None:
    """Return the log file of a role of a local stack in a home folder, None if there is none."""
    logs = (home / "logs").glob("worker-*.log")
    return next((log.resolve() for log in logs if role in log.stem.removeprefix("worker-").split("-")), None)


async def writes_refused(redis: Redis) -> str:
    """Return the reason why Redis refuses writes, empty if it accepts them.

    Raises:
        StoreError: Redis does not answer at all.
    """
    try:
        with store_errors("writing to Redis"):
            await redis.set(_WRITTEN_KEY, clock.now_ms(), px=_WRITTEN_TTL_MS)
    except StoreError as error:
        if isinstance(error.__cause__, ResponseError):
            return f"{type(error.__cause__).__name__}: {error.__cause__}"
        raise
    return ""


async def record_gaps(redis: Redis, gaps: Mapping[str, int]) -> None:
    """Store the gaps of unread deleted records, which are not visible any more once their group reads on.

    Raises:
        StoreError: Redis does not answer, or refuses writes.
    """
    if gaps:
        with store_errors("recording unread deletions"):
            await redis.hset(_GAPS_KEY, mapping=cast("dict[Any, Any]", gaps))
            await redis.pexpire(_GAPS_KEY, _GAPS_TTL_MS)


async def read_gaps(redis: Redis) -> Counts:
    """Return the records that were recently deleted unread, by group and topic.

    Raises:
        StoreError: Redis does not answer.
    """
    with store_errors("reading unread deletions"):
        gaps = cast("dict[bytes, bytes]", await redis.hgetall(_GAPS_KEY))
    counts: Counts = {}
    for name, count in gaps.items():
        group, topic, _, _ = name.decode().split(" ")
        topics = counts.setdefault(group, {})
        topics[topic] = topics.get(topic, 0) + int(count)
    return counts


def judge(lives: Sequence[RoleLife], expected: Collection[str], *, now_ms: int) -> dict[str, RoleHealth]:
    """Return the health of each expected role and of each role that has run.

    Args:
        lives: Processes that were not stopped in order.
        expected: Names of expected roles.
        now_ms: Current time in ms since the epoch.
    """
    names = dict.fromkeys((*expected, *sorted({life.role for life in lives})))
    return {name: _role([life for life in lives if life.role == name], now_ms) for name in names}


def _role(lives: Sequence[RoleLife], now_ms: int) -> RoleHealth:
    alive = sum(life.is_alive for life in lives)
    last_at = max((life.last_at for life in lives), default=None)
    crashes = sum(not life.is_alive and now_ms - life.last_at <= CRASHES_WITHIN_MS for life in lives)
    state: RoleState = "up"
    if crashes >= CRASHES:
        state = "crash_loop"
    elif not alive:
        state = "late" if last_at is not None and now_ms - last_at <= MISSING_AFTER_MS else "missing"
    return RoleHealth(state=state, processes=alive, last_seen_at=last_at, crashes=crashes)


def health(
    roles: dict[str, RoleHealth], refusal_reason: str, deleted_counts: Counts, recorded_counts: Counts, *, now_ms: int
) -> PipelineHealth:
    """Return the health of the whole pipeline.

    Args:
        roles: Health of each role.
        refusal_reason: Reason why Redis refuses writes; empty if it accepts them.
        deleted_counts: Deleted records that a group would read next: a problem until the group reads on.
        recorded_counts: Records that were recently deleted unread, for information.
        now_ms: Current time in ms since the epoch.
    """
    problems = [f"Redis refuses writes ({refusal_reason}): feeds are not renewed"] if refusal_reason else []
    problems += [text for name, role in roles.items() if (text := _problem(name, role, now_ms))]
    problems += [
        f"{count:,} records of {topic} were deleted by retention before {group} had read them"
        for group, topics in deleted_counts.items()
        for topic, count in topics.items()
    ]
    return PipelineHealth(
        status="degraded" if problems else "ok",
        problems=problems,
        roles=roles,
        redis_writes="refused" if refusal_reason else "ok",
        deleted_unread=recorded_counts,
    )


def _problem(name: str, role: RoleHealth, now_ms: int) -> str:
    """Return the problem of a role, empty if there is none."""
    if role.state == "crash_loop":
        return f"{name} has ended by failures {role.crashes} times in {CRASHES_WITHIN_MS // 60_000} minutes"
    if role.last_seen_at is None:
        return f"{name} has not been heard of"
    return "" if role.state == "up" else f"{name} has been silent for {max(0, now_ms - role.last_seen_at) // 1000} s"
