"""Reader of tables of user, item, rating (optional) and timestamp: CSV, TSV and similar text, and Parquet.

Columns are recognised by common names (user, user_id, userId, SessionId; item, item_id, movieId; timestamp, ts, time …)
or, without names, by their order. Several tables with the same columns in a folder form one data set, in the order of
file names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loaders.dataset import BadLine, Dataset, DatasetError, event_id, validate
from loaders.tables import column, delimited, number, timestamp
from loaders.tables.cell import CELL_CHARS, is_missing, quoted
from loaders.tables.column import InteractionColumns
from loaders.tables.encoding import UNDECODED, is_decoded
from schemas.types import Interaction

_TEXT = frozenset({".csv", ".tsv", ".txt", ".dat", ".data", ".inter"})
_PARQUET = ".parquet"
_EXPECTED = (
    "a line has a user, an item, perhaps a rating, and a time: in seconds or finer since 1970, or such as "
    "2019-10-01 00:00:00 UTC"
)


class _Row(NamedTuple):
    file: str
    line: int
    fields: Sequence[object]
    columns: InteractionColumns
    problem: str = ""

    @property
    def rating(self) -> str | None:
        """Return the rating as text, None for a table without ratings."""
        if self.columns.rating is None:
            return None
        value = self.fields[self.columns.rating]
        return "" if value is None else str(value)

    def bad(self, problem: object) -> BadLine:
        """Return the row as a bad line."""
        return BadLine(self.file, self.line, str(problem))


def matches(path: Path) -> bool:
    """Return whether a path is such a table or a folder that holds one."""
    return bool(_tables(path))


def read(path: Path) -> Dataset:
    """Read a table, or the tables of a folder.

    Raises:
        DatasetError: the folder holds tables of different kinds, or no line is readable.
        ModuleNotFoundError: pyarrow is not installed, for a Parquet file.
    """
    tables = _tables(path)
    if {_first(table) for table in tables if column.find(_first(table)) != column.find(_first(tables[0]))}:
        names = ", ".join(table.name for table in tables)
        raise DatasetError(path, f"several tables that differ in their columns; name one of {names}")
    return read_tables(path, tables)


def read_tables(path: Path, tables: Sequence[Path], *, repeats: bool | None = None) -> Dataset:
    """Read tables as one data set, in this order.

    Raises:
        DatasetError: no line is readable.
        EncodingError: the encoding of a table is unclear.
    """
    texts = {table: delimited.read(table, _fit) for table in tables if table.suffix != _PARQUET}
    rows = [row for table in tables for row in _rows(table, texts.get(table))]
    whole = [row for row in rows if not row.problem]
    times = iter(timestamp.read([row.fields[row.columns.time] for row in whole]))
    ratings = iter(_ratings([row.rating for row in whole]))
    events: list[Interaction] = []
    bad: list[tuple[_Row, BadLine]] = []
    for row in rows:
        try:
            if row.problem:
                raise ValueError(row.problem)
            events.append(_interaction(path.name, row, next(times), next(ratings)))
        except ValueError as error:
            bad.append((row, row.bad(error)))
    if not events:
        raise DatasetError(path, f"not one line can be read; {_example(bad)}")
    events.sort(key=lambda event: event.occurred_at)
    return Dataset(
        name=path.stem,
        items=[],
        profiles=[],
        interactions=events,
        repeats=repeats,
        bad_lines=[line for _, line in bad],
        notes=list(dict.fromkeys(note for text in texts.values() for note in _notes(text))),
    )


def _tables(path: Path) -> list[Path]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and column.find(_first(file)) is not None]


def _fit(header: Sequence[str]) -> int:
    return column.find(header) is not None


def _first(file: Path) -> tuple[str, ...]:
    """Return the names of a table's columns, or its first line for a table without names."""
    if file.suffix == _PARQUET:
        with _parquet(file) as parquet:
            return tuple(parquet.read_schema(file).names)
    return tuple(delimited.read_header(file, _fit)) if file.suffix in _TEXT else ()


def _rows(file: Path, text: delimited.Text | None) -> Iterator[_Row]:
    """Yield the rows of a table, each with its line number from 1, and its fields or the problem."""
    header = _first(file)
    columns = column.find(header)
    assert columns is not None
    if text is None:
        with _parquet(file) as parquet:
            cells = [map(_decoded, cells.to_pylist()) for cells in parquet.read_table(file).columns]
        yield from (_Row(file.name, line, row, columns) for line, row in enumerate(zip(*cells, strict=True), start=1))
        return
    for index, row in enumerate(text.rows(len(header))):
        if index or not columns.has_names:
            yield _Row(file.name, row.line, row.fields, columns, row.misfit(len(header)))


def _notes(text: delimited.Text) -> Iterator[str]:
    """Yield notes on the reading of a table."""
    yield text.description
    header = delimited.first_row(text).fields
    columns = column.find(header)
    if columns is not None and columns.has_names:
        indices = (columns.user, columns.item, columns.rating, columns.time)
        yield from delimited.repeated_names([header[index] for index in indices if index is not None], header)


def _example(bad: Sequence[tuple[_Row, BadLine]]) -> str:
    """Return an example of the problems of a table without a readable line."""
    if not bad:
        return f"there is none; {_EXPECTED}"
    row, line = bad[0]
    return f"for example {line}, in {quoted(' '.join(map(str, row.fields)))}; {_EXPECTED}"


@contextmanager
def _parquet(file: Path) -> Iterator[Any]:
    """Yield the reader of Parquet.

    Raises:
        DatasetError: the file is unreadable.
    """
    from pyarrow import parquet

    try:
        yield parquet
    except Exception as error:  # any error that broken Parquet causes: Arrow's own errors, OSError, Overflow, Memory …
        raise DatasetError(file, f"its Parquet cannot be read: {error}") from error


def _decoded(value: object) -> object:
    """Return a cell, with bytes decoded: older writers of Parquet do not mark texts as such."""
    return value.decode(errors=UNDECODED) if isinstance(value, bytes) else value


def _interaction(name: str, row: _Row, at_ms: int | ValueError, rating: float | ValueError | None) -> Interaction:
    if isinstance(at_ms, ValueError):
        raise at_ms
    if isinstance(rating, ValueError):
        raise rating
    interaction = Interaction(
        event_id=event_id(at_ms, name, row.file, row.line),
        user_id=_id("user", row.fields[row.columns.user]),
        item_id=_id("item", row.fields[row.columns.item]),
        action="click" if rating is None else "rate",
        occurred_at=at_ms,
        value=rating,
    )
    return validate(interaction)


def _id(name: str, value: object) -> str:
    """Return an id as text; whole numbers stored as floats lose the decimal point."""
    if isinstance(value, (bool, list, dict)):
        raise ValueError(f"the {name} {quoted(value)} is not an id")
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if value is None or is_missing(text):
        raise ValueError(f"the {name} is missing")
    if not is_decoded(text):
        raise ValueError(f"the {name} holds bytes that the encoding of the file does not have")
    return text


def _ratings(texts: Sequence[str | None]) -> list[float | ValueError | None]:
    """Return the ratings of a column: None without a column, an error for a text that is not a number."""
    cells = [number.readings(number.plain(text)) if text and len(text) <= CELL_CHARS else {} for text in texts]
    mark = number.decimal_mark(cells)
    return [None if text is None else _rating(text, cell, mark) for text, cell in zip(texts, cells, strict=True)]


def _rating(text: str, readings: number.Readings, mark: str | None) -> float | ValueError:
    if is_missing(text):
        return ValueError("the rating is missing")
    if len(text) > CELL_CHARS:
        return ValueError(f"the rating {quoted(text)} is not a number")
    try:
        value = number.choose(text, readings, mark) if "," in text else float(text)
    except ValueError:
        value = float("nan")
    if not math.isfinite(value) or "_" in text:
        return ValueError(f"the rating {quoted(text)} is not a number")
    return value
