"""What is a value's fault, and what is the store's: the former is set aside, the latter is waited for."""

from __future__ import annotations

import asyncpg
import pytest
from asyncpg.exceptions import _base
from redis import exceptions as redis

from infra.postgres.pool import write_errors
from infra.redis.connection import StoreError, StoreRefusedError, store_errors

AT_FAULT = [
    asyncpg.UntranslatableCharacterError("\\u0000 cannot be converted to text"),
    asyncpg.CharacterNotInRepertoireError('invalid byte sequence for encoding "UTF8": 0x00'),
    asyncpg.NumericValueOutOfRangeError("bigint out of range"),
    asyncpg.DatetimeFieldOverflowError("date/time field value out of range"),
    asyncpg.StringDataRightTruncationError("value too long"),
    asyncpg.NotNullViolationError("null value in column"),
    asyncpg.CheckViolationError("violates check constraint"),
    asyncpg.ForeignKeyViolationError("violates foreign key constraint"),
    asyncpg.ProgramLimitExceededError("index row size 3024 exceeds btree version 4 maximum 2704"),
    asyncpg.StatementTooComplexError("stack depth limit exceeded"),
    asyncpg.InternalServerError("invalid memory alloc request size 1073741824"),
    _base.DataError("invalid input for query argument $1: 9223372036854775808 (value out of int64 range)"),
]
AWAY = [
    OSError("connection refused"),
    TimeoutError(),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.DiskFullError('could not extend file "base/16384/16397": No space left on device'),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.PostgresIOError("could not write block"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.UndefinedTableError('relation "interactions" does not exist'),
    asyncpg.InsufficientPrivilegeError("permission denied for table interactions"),
    asyncpg.InvalidCatalogNameError('database "millrace" does not exist'),
    asyncpg.InvalidPasswordError("password authentication failed"),
]


@pytest.mark.parametrize("error", AT_FAULT, ids=lambda error: type(error).__name__)
def test_a_row_that_postgresql_refuses(error: Exception) -> None:
    with pytest.raises(StoreRefusedError, match="archiving"), write_errors("archiving"):
        raise error


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_postgresql_that_is_away_or_full_or_not_ready(error: Exception) -> None:
    with pytest.raises(StoreError, match="archiving") as exc_info, write_errors("archiving"):
        raise error
    assert not isinstance(exc_info.value, StoreRefusedError)


@pytest.mark.parametrize(
    "error",
    [
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("Error running script (call to f_1): @user_script:7: WRONGTYPE Operation against a key"),
        redis.ResponseError("value is not a valid float"),
        redis.ResponseError("min or max is not a float"),
        redis.ResponseError("value is not an integer or out of range"),
        redis.ResponseError("invalid expire time in set"),
        redis.ResponseError("string exceeds maximum allowed size (512MB)"),
        redis.DataError("Invalid input of type: 'list'"),
    ],
    ids=str,
)
def test_a_value_that_redis_refuses(error: Exception) -> None:
    with pytest.raises(StoreRefusedError), store_errors("writing"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("Error 111 connecting to localhost:6379"),
        redis.TimeoutError("Timeout reading from socket"),
        redis.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("Error running script: @user_script: 8: -OOM command not allowed when used memory > 'max'"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError("BUSY Redis is busy running a script"),
        redis.NoPermissionError("this user has no permissions to run the 'set' command"),
        redis.AuthenticationError("Authentication required."),
        OSError("broken pipe"),
    ],
    ids=str,
)
def test_a_redis_that_is_away_or_full_or_not_ready(error: Exception) -> None:
    with pytest.raises(StoreError) as exc_info, store_errors("writing"):
        raise error
    assert not isinstance(exc_info.value, StoreRefusedError)
