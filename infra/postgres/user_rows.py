"""The rows in PostgreSQL that belong to one user."""

from __future__ import annotations

from typing import Any

from domain.timestamp import utc_time

TABLES = ("interactions", "impressions", "outcomes", "early_outcomes", "feed_history", "shadow_comparisons")
"""The tables with a column `user_id`."""


async def erase_rows(connection: Any, user_id: str, before_ms: int) -> dict[str, int]:
    """Delete the rows of a user, and return their numbers by table.

    Args:
        connection: A connection.
        user_id: The user.
        before_ms: Append time of the newest record to erase, in ms since the epoch; newer rows stay.
    """
    counts = {}
    for table in TABLES:
        status = await connection.execute(
            f"DELETE FROM {table} WHERE user_id = $1 AND appended_at <= $2",  # noqa: S608 - the name is ours
            user_id,
            utc_time(before_ms),
        )
        counts[f"postgresql: {table}"] = int(status.rpartition(" ")[2])
    return counts


async def user_rows(connection: Any, user_id: str, table: str, *, limit: int) -> list[dict[str, Any]]:
    """Return the newest rows of a user in a table of `TABLES`, newest first.

    Args:
        connection: A connection.
        user_id: The user.
        table: The table.
        limit: Maximum number of rows.
    """
    rows = await connection.fetch(
        f"SELECT * FROM {table} WHERE user_id = $1 ORDER BY appended_at DESC LIMIT $2",  # noqa: S608
        user_id,
        limit,
    )
    return [dict(row) for row in rows]
