"""Tables and views of the archive in PostgreSQL as relations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pyarrow as pa

from domain.timestamp import utc_time
from infra.analytics.relation import ALWAYS, Relation, TimeSpan
from infra.error import OperatorError

_ROWS = 5_000
_TYPES = {
    **{"bool": pa.bool_(), "int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64()},
    **{"float4": pa.float32(), "float8": pa.float64(), "bytea": pa.binary(), "date": pa.date32()},
    **{"timestamptz": pa.timestamp("us", tz="UTC"), "_text": pa.list_(pa.string()), "_float4": pa.list_(pa.float32())},
}
"""Arrow types by PostgreSQL's; values of any other type are read as text."""
_TIMES = ("appended_at", "occurred_at", "generated_at", "day")
"""Columns that a span of times is about; the first one that a relation has."""
_NAMES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'public' AND table_name NOT IN ('schema_migrations', 'projected', 'spatial_ref_sys')
  AND table_name !~ '_[0-9]{4}_[0-9]{2}$' ORDER BY table_name
"""
"""The relations but for partitions, and those of the machinery."""
_COLUMNS = """
SELECT column_name AS name, udt_name AS type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position
"""


async def archive_names(connection: Any) -> list[str]:
    """Return the names of the archive's tables and views."""
    return [row["table_name"] for row in await connection.fetch(_NAMES)]


async def archive_relation(
    connection: Any, name: str, *, span: TimeSpan = ALWAYS, user_id: str | None = None
) -> Relation:
    """Return a table or view of the archive as a relation.

    Args:
        connection: A connection in a transaction, for this relation alone until it is read.
        name: One of `archive_names`.
        span: Times to read.
        user_id: The user whose rows to read; by default those of all.

    Raises:
        OperatorError: the relation has no column for the span or the user.
    """
    types = {row["name"]: row["type"] for row in await connection.fetch(_COLUMNS, name)}
    schema = pa.schema([pa.field(column, _TYPES.get(kind, pa.string())) for column, kind in types.items()])
    names = [f'"{column}"' if kind in _TYPES else f'"{column}"::text' for column, kind in types.items()]
    conditions, values = _conditions(name, types, span, user_id)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    statement = f'SELECT {", ".join(names)} FROM "{name}"{where}'  # noqa: S608 - all names are of the catalogue

    async def batches() -> AsyncIterator[pa.RecordBatch]:
        cursor = await connection.cursor(statement, *values)
        while rows := await cursor.fetch(_ROWS):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    return Relation(name, schema, batches())


def _conditions(
    name: str, columns: dict[str, str], span: TimeSpan, user_id: str | None
) -> tuple[list[str], Sequence[Any]]:
    conditions: list[str] = []
    values: list[Any] = []
    if user_id is not None:
        if "user_id" not in columns:
            raise OperatorError(f"Rows of {name} belong to no user.", "Leave --user out.")
        values.append(user_id)
        conditions.append("user_id = $1")
    bounds = [(">=", span.from_ms), ("<", span.until_ms)]
    at = next((column for column in _TIMES if column in columns), None)
    for operator, at_ms in bounds:
        if at_ms is None:
            continue
        if at is None:
            raise OperatorError(f"Rows of {name} have no time.", "Leave --from and --until out.")
        values.append(utc_time(at_ms))
        conditions.append(f'"{at}" {operator} ${len(values)}')
    return conditions, values
