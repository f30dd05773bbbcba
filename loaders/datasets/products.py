"""Reader of product tables with the eleven columns of shops, or a subset of them.

    id, name, main_category, sub_category, image, link, ratings, no_of_ratings, discount_price, actual_price,
    discount_ratio

Columns are matched by name, in any order; others are ignored. Each row becomes an item, extends one, or is rejected
with its line and the reason. Without an id, the one in the link is used, or a hash of the link or the name. A product
in several rows is one item with all their sub-categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from loaders.dataset import BadLine, DatasetError, require_readable
from loaders.datasets import product_column
from loaders.datasets.product_column import COLUMNS, NEEDED, ProductFormat
from loaders.datasets.product_value import ProductValues
from loaders.tables import delimited
from loaders.tables.cell import is_missing
from loaders.tables.delimited import Row, Text
from schemas import limit, record_limit
from schemas.text import line
from schemas.types import Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An unusable row."""

    where: BadLine
    fields: list[str]
    """Fields of the row; the whole line where it could not be split."""
    item_id: str | None
    """Id of the product; None where it is unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """The content of a file. The numbers of items, repeated and rejected rows add up to `rows`."""

    columns: list[str]
    rows: int
    items: list[Item]
    repeat_count: int
    """Number of rows of products from earlier rows."""
    rejected_rows: list[Rejected]
    undated_items: frozenset[str]
    """Items without a time in the file, which get that of the file."""
    notes: list[str]
    """Notes on the reading of the file and its assumptions."""


def read(path: Path, *, now_ms: int, form: ProductFormat) -> Products:
    """Read a file; repeated reads yield the same items.

    Args:
        path: The file. Products without a time get its time of modification.
        now_ms: The current time in ms since the epoch, an upper bound of times.
        form: Options of the file.

    Raises:
        DatasetError: the file or a needed column is missing, or its encoding or rating scale is unclear.
    """
    text, columns, indices = _opened(path, form)
    rows = list(text.rows(len(columns)))[1:]
    cells = [_cells(row, indices) if not row.misfit(len(columns)) else None for row in rows]
    try:
        values = ProductValues(lambda name: [row[name] for row in cells if row and row.get(name)], form)
    except ValueError as error:
        raise DatasetError(path, f"{error}; name the scale of its ratings") from error
    at_ms = min(round(path.stat().st_mtime * 1_000), now_ms)
    items: dict[str, Item] = {}
    rejected_rows: list[Rejected] = []
    undated_items: set[str] = set()
    conflicts = 0
    for row, row_cells in zip(rows, cells, strict=True):
        try:
            item = values.item(row_cells, at_ms=at_ms) if row_cells is not None else _refuse(row, len(columns))
            record_limit.check(item, now_ms=now_ms)
        except ValueError as error:
            where = BadLine(path.name, row.line, str(error))
            rejected_rows.append(Rejected(where=where, fields=row.fields, item_id=_id(row_cells, values)))
            continue
        if item.item_id not in items and not (row_cells and row_cells.get("created_at")):
            undated_items.add(item.item_id)
        first = items.setdefault(item.item_id, item)
        conflicts += (first.title, first.price) != (item.title, item.price)
        items[item.item_id] = _merged(first, item)
    return Products(
        columns=columns,
        rows=len(rows),
        items=list(items.values()),
        repeat_count=len(rows) - len(items) - len(rejected_rows),
        rejected_rows=rejected_rows,
        undated_items=frozenset(undated_items),
        notes=[
            text.description,
            *delimited.repeated_names([columns[index] for index in indices.values()], columns),
            *values.notes(),
            *_conflict(conflicts),
        ],
    )


def _opened(path: Path, form: ProductFormat) -> tuple[Text, list[str], dict[str, int]]:
    """Return the text of a file, the names of its columns, and the indices of the known ones.

    Raises:
        DatasetError: the file is unreadable, or lacks needed columns.
    """
    if not path.is_file():
        raise DatasetError(path, "there is no such file")

    def fit(header: Sequence[str]) -> int:
        return len(product_column.find(header, form))

    with require_readable(path, remedy="name its encoding"):
        text = delimited.read(path, fit, name=form.encoding, separator=form.separator)
    header = delimited.first_row(text)
    columns = [name.strip() for name in header.fields]
    if not any(columns):
        raise DatasetError(path, "it is empty")
    indices = product_column.find(columns, form)
    absent = [name for column, name in form.columns.items() if column not in indices]
    if absent:
        raise DatasetError(path, f"it has no column {' and none '.join(absent)}; its columns are {', '.join(columns)}")
    missing = [name for name in NEEDED if name not in indices]
    if missing:
        problem = header.problem or f"its columns are {', '.join(columns)}; it should have {', '.join(COLUMNS)}"
        raise DatasetError(path, f"it has no column {' and none '.join(missing)}; {problem}")
    return text, columns, indices


def _cells(row: Row, indices: dict[str, int]) -> dict[str, str]:
    """Return the cells of a row by column, each as a single line, empty for a missing value."""
    cells = {name: line(row.fields[index]) for name, index in indices.items()}
    return {name: "" if is_missing(cell) else cell for name, cell in cells.items()}


def _refuse(row: Row, width: int) -> Item:
    raise ValueError(row.misfit(width))


def _id(cells: dict[str, str] | None, values: ProductValues) -> str | None:
    try:
        return None if cells is None else values.id_of(cells)
    except ValueError:
        return None


def _merged(first: Item, again: Item) -> Item:
    """Return the product of the first row, with the sub-categories of another row added."""
    topics = list(dict.fromkeys((*first.topics, *again.topics)))[: limit.LIST_ITEMS]
    return first if topics == first.topics else replace(first, topics=topics)


def _conflict(count: int) -> list[str]:
    return [f"{count:,} rows repeat an id with another name or price: the first row holds"] if count else []
