"""Reads tables of user, item, rating (optional) and timestamp: CSV, TSV and their kin, and Parquet.

Columns go by their usual names (user, user_id, userId, SessionId; item, item_id, movieId; timestamp, ts, time …) or,
without names, by their order. Several tables with the same columns in one folder are read as one, by file name.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from infra.dataset import column, moment
from infra.dataset.dataset import BadLine, Dataset, DatasetError, event_id
from schemas.types import Interaction

_TEXT = frozenset({".csv", ".tsv", ".txt", ".dat", ".data", ".inter"})
_PARQUET = ".parquet"
_SEPARATORS = ("\t", "::", ",", ";", "|")
_LEAST_COLUMNS = 3


class _Row(NamedTuple):
    file: str
    line: int
    user: object
    item: object
    rating: object
    time: object


def matches(path: Path) -> bool:
    """Say whether a path is such a table or a folder that holds one."""
    return bool(_tables(path))


def read(path: Path) -> Dataset:
    """Read a table, or the tables of a folder.

    Raises:
        DatasetError: the folder holds tables of different kinds, or not one line can be read.
        ModuleNotFoundError: it is Parquet and pyarrow is not installed.
    """
    tables = _tables(path)
    if {_first(table) for table in tables if column.find(_first(table)) != column.find(_first(tables[0]))}:
        found = ", ".join(table.name for table in tables)
        raise DatasetError(path, f"several tables that differ in their columns; name one of {found}")
    return read_tables(path, tables)


def read_tables(path: Path, tables: Sequence[Path], *, repeats: bool | None = None) -> Dataset:
    """Read tables as one data set, in this order."""
    rows: list[_Row] = []
    bad_lines: list[BadLine] = []
    for table in tables:
        for found in _rows(table):
            (rows if isinstance(found, _Row) else bad_lines).append(found)  # type: ignore[arg-type]
    events: list[Interaction] = []
    for row, at_ms in zip(rows, moment.read([row.time for row in rows]), strict=True):
        try:
            events.append(_interaction(path.name, row, at_ms))
        except ValueError as error:
            bad_lines.append(BadLine(row.file, row.line, str(error)))
    if not events:
        raise DatasetError(path, f"not one line can be read; {bad_lines[0] if bad_lines else 'there is none'}")
    events.sort(key=lambda event: event.occurred_at)
    return Dataset(name=path.stem, items=[], profiles=[], interactions=events, repeats=repeats, bad_lines=bad_lines)


def _tables(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and column.find(_first(file)) is not None]


def _first(file: Path) -> tuple[str, ...]:
    """Return the names of a table's columns, or its first line when it has none."""
    if file.suffix == _PARQUET:
        return tuple(_parquet().read_schema(file).names)
    if file.suffix not in _TEXT:
        return ()
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        line = text.readline()
    return tuple(next(_split([line], _separator(line)), ()))


def _rows(file: Path) -> Iterator[_Row | BadLine]:
    columns = column.find(_first(file))
    assert columns is not None
    for line, fields in _parquet_lines(file) if file.suffix == _PARQUET else _text_lines(file, named=columns.named):
        try:
            rating = None if columns.rating is None else fields[columns.rating]
            yield _Row(file.name, line, fields[columns.user], fields[columns.item], rating, fields[columns.time])
        except IndexError:
            yield BadLine(file.name, line, f"{len(fields)} fields are too few")


def _text_lines(file: Path, *, named: bool) -> Iterator[tuple[int, Sequence[object]]]:
    """Yield (line number from 1, fields) of every line that is not blank, after the names if there are any."""
    with file.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        separator = _separator(text.readline())
        text.seek(0)
        numbered = enumerate(_split(text, separator), start=1)
        if named:
            next(numbered, None)
        yield from ((number, fields) for number, fields in numbered if any(fields))


def _parquet_lines(file: Path) -> Iterator[tuple[int, Sequence[object]]]:
    table = _parquet().read_table(file)
    yield from enumerate(zip(*(found.to_pylist() for found in table.columns), strict=True), start=1)


def _parquet() -> Any:
    from pyarrow import parquet

    return parquet


def _separator(line: str) -> str:
    """Return what parts the first line into columns."""
    return next((mark for mark in _SEPARATORS if len(line.split(mark)) >= _LEAST_COLUMNS), ",")


def _split(lines: Any, separator: str) -> Iterator[list[str]]:
    if len(separator) == 1:
        return iter(csv.reader(lines, delimiter=separator))
    return (line.rstrip("\r\n").split(separator) for line in lines)


def _interaction(name: str, row: _Row, at_ms: int | ValueError) -> Interaction:
    if isinstance(at_ms, ValueError):
        raise at_ms
    return Interaction(
        event_id=event_id(at_ms, name, row.file, row.line),
        user_id=_id("user", row.user),
        item_id=_id("item", row.item),
        action="click" if row.rating is None else "rate",
        occurred_at=at_ms,
        value=None if row.rating is None else _number(row.rating),
    )


def _id(what: str, value: object) -> str:
    """Return an id as text; whole numbers that a table keeps as floats lose their point."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if value is None or not text:
        raise ValueError(f"the {what} is empty")
    return text


def _number(value: object) -> float:
    number = float(str(value))
    if not -float("inf") < number < float("inf"):
        raise ValueError(f"a rating of {value} is no number")
    return number
