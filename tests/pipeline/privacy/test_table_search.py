"""The search of PostgreSQL: columns of any type, statistics, and what a purge leaves of deleted rows in the files."""

from __future__ import annotations

import asyncpg

from domain.timestamp import utc_time
from infra.address import Addresses
from infra.erasure.occurrences.id_pattern import IdPattern
from infra.erasure.occurrences.table_search import STATISTICS, search_tables
from infra.erasure.purge.store_purge import purge_postgres
from infra.postgres.user_rows import erase_rows
from tests.build import T0_MS
from tests.pipeline.privacy.test_user_rows import fill

PATTERN = IdPattern("erase-me-7f3a")


async def counts(stack: Addresses) -> dict[str, int]:
    result = await search_tables(stack.database_url, PATTERN, on_progress=lambda _count, _total: None)
    assert result.unread == []
    return dict(result.counts)


async def test_an_id_is_found_in_any_column(pool: asyncpg.Pool, stack: Addresses) -> None:
    await pool.execute(
        "CREATE TABLE a_table (text text, document jsonb, data bytea, names text[]) WITH (autovacuum_enabled = false)"
    )
    try:
        user = PATTERN.user_id
        await pool.execute("INSERT INTO a_table VALUES ($1, NULL, NULL, NULL)", f"of {user}")
        await pool.execute("INSERT INTO a_table VALUES ('', $1, NULL, NULL)", {"user": user})
        await pool.execute("INSERT INTO a_table VALUES ('', NULL, $1, NULL)", b"\0" + user.encode())
        await pool.execute("INSERT INTO a_table VALUES ('', NULL, NULL, $1)", ["x", user])
        await pool.execute("INSERT INTO a_table VALUES ('somebody', '{}', '', '{}')")
        assert await counts(stack) == {"a_table": 4}
    finally:
        await pool.execute("DROP TABLE a_table")


async def test_a_purge_removes_an_erased_user_from_statistics(pool: asyncpg.Pool, stack: Addresses) -> None:
    for number in range(20):
        await fill(pool, PATTERN.user_id, T0_MS + number)
        await fill(pool, "other", T0_MS + number)
    await pool.execute("ANALYZE")
    async with pool.acquire() as connection:
        await erase_rows(connection, PATTERN.user_id, T0_MS + 20)
    assert set(await counts(stack)) == {STATISTICS}
    assert await purge_postgres(stack.database_url) == []
    assert await counts(stack) == {}
    assert await pool.fetchval("SELECT count(*) FROM interactions WHERE appended_at >= $1", utc_time(T0_MS)) == 20
