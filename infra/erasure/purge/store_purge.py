"""Purge of the files of PostgreSQL and Redis: what they keep of rows and keys that were deleted."""

from __future__ import annotations

import asyncio

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from infra.error import OperatorError
from infra.postgres.pool import CONNECTION_ERRORS, connect
from infra.postgres.user_rows import TABLES
from infra.redis.connection import store_errors

_LOCK_S = 30
"""Longest wait for the readers and writers of a table, in seconds; others wait behind it."""
_LOOK_EVERY_S = 0.1
_REWRITE_WITHIN_S = 3_600.0
_FAILED = "err"
_STATEMENTS = (
    ("VACUUM FULL pg_catalog.pg_statistic", "rewrites the frequent values of columns"),
    ("CHECKPOINT", "writes the tables"),
    ("SELECT pg_switch_wal()", "ends a file of the write-ahead log"),
    ("CHECKPOINT", "drops the older files of the write-ahead log"),
)
"""Statements after the tables are rewritten, and their purposes; a role that is no superuser may lack the rights."""


async def purge_postgres(url: str) -> list[str]:
    """Rewrite the tables of users and their statistics, and drop the write-ahead log; return what is left to do.

    Each table is locked while it is rewritten, and needs its size again on the disk.

    Args:
        url: URL of the database.

    Raises:
        OperatorError: the server does not answer, or a transaction holds a table for too long.
    """
    try:
        connection = await connect(url)
        notes: list[str] = []
        connection.add_log_listener(lambda _, message: notes.append(message.message))  # such as tables it may not lock
        try:
            await connection.execute(f"SET lock_timeout = '{_LOCK_S}s'")
            for table in TABLES:
                await connection.execute(f"VACUUM (FULL, ANALYZE) {table}")
            for statement, purpose in _STATEMENTS:
                try:
                    await connection.execute(statement)
                except asyncpg.InsufficientPrivilegeError:
                    notes.append(f"a superuser has to execute {statement}, which {purpose}")
            if await connection.fetchval("SHOW wal_recycle") == "on":
                notes.append("wal_recycle is on: files of the write-ahead log keep rows until they are written again")
            return notes
        finally:
            await connection.close()
    except asyncpg.LockNotAvailableError as error:
        raise OperatorError(
            f"A transaction holds a table for more than {_LOCK_S} s: {error}", "End it, then try again."
        ) from error
    except CONNECTION_ERRORS as error:
        raise OperatorError(f"PostgreSQL does not answer: {error}", "Start it, then try again.") from error


async def purge_redis(redis: Redis) -> list[str]:
    """Rewrite the files of Redis and reset its log of slow commands; return what is left to do.

    Args:
        redis: Client.

    Raises:
        StoreError: Redis does not answer.
        OperatorError: it could not write its file.
    """
    with store_errors("purging Redis"):
        try:
            await redis.slowlog_reset()
            persistence = await redis.info("persistence")
            if persistence["aof_enabled"]:
                await redis.bgrewriteaof()
                await _written(
                    redis, "aof_rewrite_in_progress", "aof_rewrite_scheduled", status="aof_last_bgrewrite_status"
                )
            if (await redis.config_get("save"))["save"]:
                await redis.bgsave(schedule=True)
                await _written(redis, "rdb_bgsave_in_progress", status="rdb_last_bgsave_status")
        except ResponseError as error:  # a managed server
            return [f"it refused a command: {error}"]
    return []


async def _written(redis: Redis, *flags: str, status: str) -> None:
    """Wait until Redis has written a file: until it sets none of the flags."""
    try:
        async with asyncio.timeout(_REWRITE_WITHIN_S):
            while any(map((info := await redis.info("persistence")).get, flags)):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError as error:
        raise OperatorError("Redis did not finish its file within an hour.", "See its log.") from error
    if info[status] == _FAILED:
        raise OperatorError("Redis could not write its file.", "See its log; its disk may be full.")
