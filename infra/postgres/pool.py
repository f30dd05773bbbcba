"""PostgreSQL: connections, and the migrations that make its tables."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from infra.redis.connection import StoreError, StoreRefusedError

_MIGRATIONS = Path(__file__).with_name("migrations")
_LOCK_ID = 0x6D696C6C
"""Key of the advisory lock that keeps two migrations apart; "mill" in ASCII."""

INDEXED_CHARS = 256
"""Characters of a long text that its index holds, see migration 0004."""

AWAY = (
    *(OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError),
    asyncpg.OperatorInterventionError,  # it shuts down or starts
    asyncpg.InternalClientError,  # a connection was cut while it was being given back
    asyncpg.InsufficientResourcesError,  # its disk or memory is full, or it has no connection left
    *(asyncpg.PostgresSystemError, asyncpg.ReadOnlySQLTransactionError),  # its disk fails; it is a standby
    *(asyncpg.InvalidCatalogNameError, asyncpg.UndefinedTableError),  # it was made anew, and has no tables yet
)
"""What is raised while the server does not answer, cannot take anything, or holds nothing yet to be asked for."""
_REFUSALS = (
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError),
    asyncpg.InternalServerError,  # a value that the server itself fails at
)


@contextmanager
def write_errors(doing: str) -> Iterator[None]:
    """Turn what is raised while rows are written into `RefusedError` where a row is at fault, else into `StoreError`.

    A missing table or a missing right is not a row's fault: whoever writes waits until an operator has seen to it.
    """
    try:
        yield
    except (*AWAY, asyncpg.PostgresError) as error:
        unfit = isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)  # found by the client
        kind = StoreRefusedError if unfit or isinstance(error, _REFUSALS) else StoreError
        raise kind(doing, error) from error


async def connect(url: str, *, connections: int = 4, ready: int = 1, timeout_s: float = 10.0) -> asyncpg.Pool:
    """Return a pool whose connections take and give JSON as Python values; `ready` of them are opened at once.

    Raises:
        AWAY: the server did not answer.
    """
    return await asyncpg.create_pool(
        url, min_size=ready, max_size=connections, timeout=timeout_s, command_timeout=60.0, init=_initialize
    )


def equals(column: str, value: str, bind: Callable[[Any], str]) -> str:
    """Return the condition that a column of long texts has a value, as the column's index serves it.

    `bind` takes a value and returns what stands for it in the statement.
    """
    return f"(left({column}, {INDEXED_CHARS}) = {bind(value[:INDEXED_CHARS])} AND {column} = {bind(value)})"


class LazyPool:
    """Connections that are opened when they are first asked for: who holds them starts while PostgreSQL is away."""

    def __init__(self, url: str, *, connections: int = 8) -> None:
        self._url, self._connections = url, connections
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()

    async def pool(self) -> asyncpg.Pool:
        """Return the connections.

        Raises:
            AWAY: the server did not answer.
        """
        async with self._connecting:
            if self._pool is None:
                self._pool = await connect(self._url, connections=self._connections, ready=0, timeout_s=2.0)
            return self._pool

    @asynccontextmanager
    async def reading(self, doing: str) -> AsyncIterator[Any]:
        """Yield a connection in a transaction that changes nothing.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        try:
            async with (await self.pool()).acquire() as connection, connection.transaction(readonly=True):
                yield connection
        except AWAY as error:
            raise StoreError(doing, error) from error

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.terminate()


def migrations(folder: Path = _MIGRATIONS) -> dict[str, str]:
    """Return the migrations by name, in the order of their numbers."""
    return {file.stem: file.read_text() for file in sorted(folder.glob("*.sql"))}


async def migrate(url: str, scripts: Mapping[str, str]) -> list[str]:
    """Apply the migrations that a database lacks, in their order, and return their names.

    Each runs in a transaction of its own; processes that migrate at once wait for one another.
    """
    connection = await asyncpg.connect(url, timeout=10.0)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_ID)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        applied_names = {row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations")}
        missing = [name for name in scripts if name not in applied_names]
        for name in missing:
            async with connection.transaction():
                await connection.execute(scripts[name])
                await connection.execute("INSERT INTO schema_migrations (name) VALUES ($1)", name)
        return missing
    finally:
        await connection.close()  # which gives the lock back


async def _initialize(connection: Any) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
