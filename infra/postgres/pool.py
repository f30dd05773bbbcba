"""Connection pool of PostgreSQL, and the migrations of its tables."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from infra.redis.connection import StoreError, StoreRefusedError

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK_ID = 0x6D696C6C
"""Key of the advisory lock that serializes migrations; "mill" in ASCII."""

INDEXED_CHARS = 256
"""Length of the indexed prefix of a long text, see migration 0004."""

CONNECTION_ERRORS = (
    *(OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError),
    asyncpg.OperatorInterventionError,  # it is starting or shutting down
    asyncpg.InternalClientError,  # a connection was cut while it was being released
    asyncpg.InsufficientResourcesError,  # its disk or memory is full, or all connections are in use
    *(asyncpg.PostgresSystemError, asyncpg.ReadOnlySQLTransactionError),  # its disk fails; it is a standby
    *(asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError),  # it was recreated, and has no tables yet
)
"""Errors of a server that does not answer, cannot accept data, or has no tables yet."""
_REFUSALS = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError),
    asyncpg.InternalServerError,  # a value that makes the server fail
)


@contextmanager
def write_errors(action: str) -> Iterator[None]:
    """Convert errors of writes into `StoreRefusedError` if a row is at fault, else into `StoreError`.

    A missing table or privilege is not a row's fault: the writer waits until an operator has fixed it.
    """
    try:
        yield
    except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
        unfit = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)  # detected by the client
        kind = StoreRefusedError if unfit or isinstance(error, _REFUSALS) else StoreError
        raise kind(action, error) from error


def driver_url(url: str) -> str:
    """Return the URL of a database without the name of a driver in its scheme, as SQLAlchemy writes it.

    >>> driver_url("postgresql+asyncpg://me@server/shop")
    'postgresql://me@server/shop'
    """
    scheme, separator, place = url.partition("://")
    return scheme.partition("+")[0] + separator + place


async def connect(url: str) -> asyncpg.Connection:
    """Return a connection to a database.

    Raises:
        CONNECTION_ERRORS: the server does not answer.
    """
    return await asyncpg.connect(driver_url(url), timeout=10.0)


async def open_pool(url: str, *, connections: int = 4, ready: int = 1, timeout_s: float = 10.0) -> asyncpg.Pool:
    """Return a pool of connections that convert between JSON and Python values.

    Args:
        url: URL of the database.
        connections: Maximum number of connections.
        ready: Number of connections to open at once.
        timeout_s: Maximum wait for a connection in seconds.

    Raises:
        CONNECTION_ERRORS: the server does not answer.
    """
    return await asyncpg.create_pool(
        driver_url(url), min_size=ready, max_size=connections, timeout=timeout_s, command_timeout=60.0, init=_initialize
    )


def equals(column: str, value: str, bind: Callable[[Any], str]) -> str:
    """Return the condition that a column of long texts equals a value, in the form that uses the column's index.

    `bind` takes a value and returns its placeholder in the statement.
    """
    return f"(left({column}, {INDEXED_CHARS}) = {bind(value[:INDEXED_CHARS])} AND {column} = {bind(value)})"


class LazyPool:
    """A pool that connects at the first use, so that its owner can start while PostgreSQL is unavailable."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self._url, self._connections = url, connections
        self.on_query: Callable[[str, float], None] = _ignore_time
        """Called with the action and the duration, in seconds, of each use of a connection by `read_connection`."""
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()

    async def pool(self) -> asyncpg.Pool:
        """Return the pool.

        Raises:
            CONNECTION_ERRORS: the server does not answer.
        """
        async with self._connecting:
            if self._pool is None:
                self._pool = await open_pool(self._url, connections=self._connections, ready=0, timeout_s=2.0)
            return self._pool

    @asynccontextmanager
    async def read_connection(self, action: str) -> AsyncIterator[Any]:
        """Yield a connection in a read-only transaction.

        Args:
            action: What is done with it: one of a few texts, since it is the label of a metric.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        try:
            async with (await self.pool()).acquire() as connection:
                began_s = time.perf_counter()
                try:
                    async with connection.transaction(readonly=True):
                        yield connection
                finally:
                    self.on_query(action, time.perf_counter() - began_s)
        except CONNECTION_ERRORS as error:
            raise StoreError(action, error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.terminate()


def _ignore_time(action: str, duration_s: float) -> None:
    """Do nothing."""


def migrations(folder: Path = _MIGRATIONS) -> dict[str, str]:
    """Return the migrations by name, in the order of their numbers."""
    return {file.stem: file.read_text() for file in sorted(folder.glob("*.sql"))}


async def migrate(url: str, scripts: Mapping[str, str]) -> list[str]:
    """Apply the missing migrations in order and return their names.

    All of them are one transaction, so that nobody meets tables of a version in between; concurrent processes wait for
    each other.
    """
    connection = await connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_ID)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        applied_names = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}
        missing = [name for name in scripts if name not in applied_names]
        async with connection.transaction():
            for name in missing:
                await connection.execute(scripts[name])
                await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", name)
        return missing
    finally:
        await connection.close()  # which releases the lock


async def empty(url: str) -> None:
    """Delete all rows of the tables that the migrations made; the tables stay."""
    connection = await connect(url)
    try:
        tables = await connection.fetch(
            "SELECT quote_ident(tablename) AS name FROM pg_tables"
            " WHERE schemaname = 'public' AND tableowner = current_user AND tablename <> 'schema_migrations'"
        )
        if tables:
            await connection.execute(f"TRUNCATE {', '.join(table['name'] for table in tables)}")
    finally:
        await connection.close()


async def _initialize(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
