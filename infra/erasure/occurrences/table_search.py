"""Search of PostgreSQL: all columns of all tables, and the statistics that the planner keeps of their values."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import asyncpg

from infra.erasure.occurrences.id_pattern import IdPattern
from infra.error import OperatorError
from infra.kafka.readers.record_window import OnReadProgress
from infra.postgres.pool import CONNECTION_ERRORS, connect

STATISTICS = "pg_stats"
_RELATIONS = """
SELECT format('%I.%I', nspname, relname) AS name, has_table_privilege(pg_class.oid, 'SELECT') AS is_readable
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg_t%'
ORDER BY name
"""
_ROWS = """
SELECT count(*) FROM {name} AS one_row
WHERE EXISTS (SELECT FROM unnest($1::text[]) AS spelling WHERE position(spelling IN one_row::text) > 0)
"""


class TableSearch(NamedTuple):
    """Result of a search of tables."""

    counts: Counter[str]
    """Rows that hold the id, by table."""
    unread: list[str]
    """Tables that this role may not read."""


async def search_tables(url: str, pattern: IdPattern, *, on_progress: OnReadProgress) -> TableSearch:
    """Return the number of rows that hold an id in any column, by table.

    Args:
        url: URL of the database.
        pattern: The id.
        on_progress: Called with the numbers of tables so far, and of all.

    Raises:
        OperatorError: the server does not answer.
    """
    try:
        connection = await connect(url)
        try:
            relations = await connection.fetch(_RELATIONS)
            names = [relation["name"] for relation in relations if relation["is_readable"]]
            counts: Counter[str] = Counter()
            for number, name in enumerate([*names, STATISTICS]):
                on_progress(number, len(names) + 1)
                counts[name.removeprefix("public.")] = await _row_count(connection, name, pattern)
        finally:
            await connection.close()
    except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
        raise OperatorError(f"PostgreSQL cannot be searched: {error}", "Start it, then try again.") from error
    return TableSearch(+counts, [relation["name"] for relation in relations if not relation["is_readable"]])


async def _row_count(connection: Any, name: str, pattern: IdPattern) -> int:
    spellings = [spelling.decode() for spelling in pattern.spellings]
    spellings += [text.replace("\\", "\\\\").replace('"', '""') for text in spellings]  # as rows are written
    return int(await connection.fetchval(_ROWS.format(name=name), list(dict.fromkeys(spellings))))
