"""Partitions of a table by month (UTC): created for the rows to write, and dropped whole once they are too old."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.timestamp import utc_time
from infra import clock

_LOCK_ID = 0x6D6F6E74
"""Key of the advisory lock that serializes changes of partitions; "mont" in ASCII."""
_MAX_DAYS = 100_000.0
"""Longest retention in days: the calendar has no room for much more."""
_PARTITIONS = """
SELECT child.relname AS name FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent WHERE parent.relname = $1
"""
_MISSING = "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NULL ORDER BY name"


class MonthPartitions:
    """The partitions of one table.

    Args:
        table: The table, partitioned by range of a time.
        days: Age in days up to which rows are kept, and up to a month longer; 0 keeps none.
    """

    def __init__(self, table: str, *, days: float) -> None:
        self.table, self._days = table, days

    def is_kept(self, at: datetime) -> bool:
        """Say whether a row of a time is young enough to be kept."""
        return self._days > 0 and at >= self._cutoff()

    async def prepare(self, connection: Any, times: Iterable[datetime]) -> None:
        """Create the missing partitions for rows of these times."""
        months = {self.name_of(month): month for month in {_month(at) for at in times}}
        missing_names = [row["name"] for row in await connection.fetch(_MISSING, sorted(months))]
        if not missing_names:
            return
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_ID)
            for name in missing_names:
                month = months[name]
                await connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {self.table}"
                    f" FOR VALUES FROM ('{month.isoformat()}') TO ('{_next(month).isoformat()}')"
                )

    async def drop_old(self, connection: Any) -> list[str]:
        """Drop the partitions of which every row is too old, and return their names."""
        oldest = self.name_of(_month(self._cutoff()))
        names = [row["name"] for row in await connection.fetch(_PARTITIONS, self.table)]
        old_names = sorted(name for name in names if self._days <= 0 or name < oldest)
        for name in old_names:
            await connection.execute(f"DROP TABLE IF EXISTS {name}")
        return old_names

    def name_of(self, month: datetime) -> str:
        """Return the name of the partition of a month; names are in the order of the months."""
        return f"{self.table}_{month:%Y_%m}"

    def _cutoff(self) -> datetime:
        return utc_time(clock.now_ms()) - timedelta(days=min(self._days, _MAX_DAYS))


def _month(at: datetime) -> datetime:
    """Return the beginning of the month of a time.

    >>> _month(datetime(2026, 11, 24, 14, tzinfo=UTC)).isoformat()
    '2026-11-01T00:00:00+00:00'
    """
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return _month(month + timedelta(days=31))
