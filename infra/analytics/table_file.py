"""Files of relations: Parquet, CSV, JSON lines, and tables of a DuckDB database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

import duckdb
import msgspec
import pyarrow as pa
from pyarrow import csv, parquet

from infra.analytics.relation import Relation

FileFormat = Literal["parquet", "csv", "jsonl", "duckdb"]
_encoder = msgspec.json.Encoder()


class TableWriter(Protocol):
    """Writes the batches of one table."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...


async def write_file(relation: Relation, path: Path, file_format: FileFormat) -> int:
    """Write a relation to a file, and return the number of its rows.

    The file appears once it is complete. A DuckDB database keeps its other tables.

    Args:
        relation: The relation.
        path: The file.
        file_format: Its format. In CSV, lists and maps are JSON texts.
    """
    row_count = 0
    part = path.with_name(f"{path.name}.part")
    try:
        with closing(_WRITERS[file_format](part, relation.schema)) as writer:
            async for batch in relation.batches:
                writer.write(batch)
                row_count += batch.num_rows
        if file_format == "duckdb":
            _load(part, path, table=relation.name.replace("-", "_"))
        else:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return row_count


def json_rows(batch: pa.RecordBatch | pa.Table) -> Iterator[bytes]:
    """Yield each row as JSON, with times as ISO 8601 in UTC and bytes in Base64."""
    for row in batch.to_pylist(maps_as_pydicts="strict"):
        yield _encoder.encode(row)


def _load(source: Path, database: Path, *, table: str) -> None:
    """Make a table of a DuckDB database from a Parquet file."""
    with duckdb.connect(str(database)) as connection:
        connection.execute(f'CREATE OR REPLACE TABLE "{table}" AS FROM read_parquet(?)', [str(source)])


class _Parquet:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Csv:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = pa.schema(
            [pa.field(field.name, pa.string() if _is_text(field.type) else field.type) for field in schema]
        )
        self._writer = csv.CSVWriter(path, self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [
            pa.array(map(_text, column.to_pylist(maps_as_pydicts="strict")), pa.string())
            if _is_text(column.type)
            else column
            for column in batch.columns
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


class _JsonLines:
    def __init__(self, path: Path, _schema: pa.Schema) -> None:
        self._file = path.open("wb")

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.writelines(line + b"\n" for line in json_rows(batch))

    def close(self) -> None:
        self._file.close()


def _is_text(kind: pa.DataType) -> bool:
    """Say whether CSV holds values of a type as JSON."""
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind))


def _text(value: Any) -> str | None:
    return None if value is None else _encoder.encode(value).decode()


_WRITERS: dict[FileFormat, Callable[[Path, pa.Schema], TableWriter]] = {
    "parquet": _Parquet,
    "csv": _Csv,
    "jsonl": _JsonLines,
    "duckdb": _Parquet,  # which DuckDB then loads
}
