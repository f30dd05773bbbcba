"""Archive eraser: deletes the rows of erased users in PostgreSQL."""

from __future__ import annotations

import asyncpg

from infra.postgres.pool import write_errors
from infra.postgres.user_rows import erase_rows
from schemas.types import ErasureRequest
from streams.runtime.retry import retry_until_available
from streams.runtime.role import Role
from streams.runtime.user_eraser import RedisUserEraser


class ArchiveEraser:
    """Deletes the rows whose records are older than the erasure; newer ones of the same user stay."""

    def __init__(self, role: Role, pool: asyncpg.Pool) -> None:
        self._erasures, self._pool = role.erasures, pool
        self._eraser = RedisUserEraser(role.redis, role.name)

    async def erase(self, request: ErasureRequest) -> None:
        """Erase a user, however long PostgreSQL is unavailable."""

        async def work() -> dict[str, int]:
            with write_errors("erasing a user"):
                async with self._pool.acquire() as connection, connection.transaction():
                    return await erase_rows(connection, request.user_id, self._erasures.erased_at(request.user_id))

        counts = await retry_until_available(work, "an erasure waits for PostgreSQL")
        await self._eraser.erase(request, counts)
