"""What reading a file must end with: records within their limits, named lines, or a clear error, in time."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cli.import_report import Report, write_rejected_rows
from evaluation.protocols.stream import of_dataset
from loaders import Dataset, DatasetError
from loaders.change import change
from loaders.datasets import detect, movielens, products, table
from loaders.datasets.movielens_format import FORMATS, is_ratings
from loaders.datasets.product_column import ProductFormat
from loaders.datasets.products import Products
from loaders.tables import column, delimited
from loaders.tables.encoding import decode
from schemas import limit, record_limit, text
from schemas.codec import Codec
from schemas.types import Interaction, Item, Profile

NOW_MS = 1_795_000_000_000
STARS = ProductFormat(rating_scale=5.0)
ALLOWED_S = 5.0
"""Processor time for one file."""
MESSAGE_CHARS = 2_000
CODECS = {record: Codec(record, 1) for record in (Item, Interaction, Profile)}
csv.field_size_limit(1 << 30)  # rejected lines may be long


def clear(message: str) -> None:
    """Assert that a message can be printed, and is short enough to be read."""
    assert all(line.isprintable() for line in message.split("\n")), ascii(message)
    assert 0 < len(message) <= MESSAGE_CHARS, message[:MESSAGE_CHARS]


def valid(record: Item | Interaction | Profile) -> None:
    """Assert that a record is in its one form, within its limits, and can be written.

    Only of a data set's own are how long ago its events lie, and the scale of its ratings.
    """
    assert text.canonical(record) == record
    codec = CODECS[type(record)]
    assert codec.decode(codec.encode(record)) == record
    if isinstance(record, Item):
        record_limit.check(record, now_ms=limit.LAST_MS)
        return
    assert 0 <= record.occurred_at <= limit.LAST_MS
    bounded_record = msgspec.structs.replace(record, occurred_at=NOW_MS)
    if isinstance(bounded_record, Interaction) and bounded_record.action == "rate":
        assert bounded_record.value is not None
        bounded_record = msgspec.structs.replace(
            bounded_record, value=min(max(bounded_record.value, 0.0), limit.RATING_MAX)
        )
    record_limit.check(bounded_record, now_ms=NOW_MS)


@contextmanager
def in_time() -> Iterator[None]:
    began_s = time.process_time()
    yield
    assert time.process_time() - began_s < ALLOWED_S


def lines_of(content: str, separator: str) -> int:
    """Return how many lines of a text without quotes hold something."""
    return sum(bool(line.replace(separator, "").strip()) for line in content.split("\n"))


def catalogue(path: Path, form: ProductFormat = STARS) -> Products | None:
    """Read a table of products, and return its content; nothing where it is refused."""
    try:
        with in_time():
            found_column = products.read(path, now_ms=NOW_MS, form=form)
    except DatasetError as error:
        clear(str(error))
        return None
    for item in found_column.items:
        valid(item)
        record_limit.check(item, now_ms=NOW_MS)
    for row in found_column.rejected_rows:
        clear(str(row.where))
    for remark in found_column.notes:
        clear(remark)
    assert found_column.rows == len(found_column.items) + found_column.repeat_count + len(found_column.rejected_rows)
    assert len({item.item_id for item in found_column.items}) == len(found_column.items)
    content = delimited.read(
        path,
        lambda names: len(products.product_column.find(names, form)),
        name=form.encoding,
        separator=form.separator,
    )
    if '"' not in content.content:
        assert found_column.rows == lines_of(content.content, content.separator) - 1
    reported(path, found_column)
    return found_column


def reported(path: Path, parsed_products: Products) -> None:
    """Assert that the rejected rows are all set aside, and that the report can be written."""
    aside = path.with_name("aside.csv")
    write_rejected_rows(parsed_products, aside)
    with aside.open(encoding="utf-8", errors="surrogateescape", newline="") as rows:
        assert len(list(csv.reader(rows))) == 1 + len(parsed_products.rejected_rows)
    aside.unlink()
    changes = change(parsed_products, {}, source="fuzz")
    msgspec.json.encode(Report.of(path, aside, parsed_products, changes, source="fuzz", removed_count=0, took_s=0.0))


def events(path: Path) -> Dataset | None:
    """Read a data set of any format, and return it; nothing where it is refused."""
    try:
        with in_time():
            data = detect.read(path)
    except DatasetError as error:
        clear(str(error))
        return None
    whole(data)
    of_dataset(data)
    if (count := rows_of(path)) is not None:
        assert count == len(data.items) + len(data.profiles) + len(data.interactions) + len(data.bad_lines)
    return data


def rows_of(path: Path) -> int | None:
    """Count the rows of a data set by its lines that hold something; None where fields with quotes may hold several."""
    kind = next(form.name for form in detect.FORMATS if form.matches(path))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    if kind == "MovieLens":
        form = next(form for form in FORMATS for file in files if file.name == form.ratings and is_ratings(file, form))
        names = {file.name for file in (path if path.is_dir() else path.parent).iterdir()}
        description_files = [form.movies] if names.issuperset((form.movies, *form.other_files)) else []
        files = [(files[0].parent / name) for name in (form.ratings, *description_files, form.users) if name in names]
        texts = [decode(file.read_bytes(), form.encoding)[0] for file in files]
        marks = [form.ratings_separator, *[form.separator] * len(description_files), form.separator]
        firsts = [text.strip().partition(form.separator)[0].strip() for text in texts]
        headers = [form.header and first in ("userId", "movieId") for first in firsts]
    elif kind in {"a table", "click sessions"}:
        files = [file for file in files if table.matches(file)]
        read = [delimited.read(file, lambda names: column.find(names) is not None) for file in files]
        texts, marks = [text.content for text in read], [text.separator for text in read]
        columns = [column.find(delimited.first_row(text).fields) for text in read]
        headers = [found_column is not None and found_column.has_names for found_column in columns]
    else:
        return None
    if any('"' in text for text in texts):
        return None
    counts = [lines_of(delimited.unix_lines(text), mark) for text, mark in zip(texts, marks, strict=False)]
    return sum(counts) - sum(headers)


def demo(path: Path) -> Dataset | None:
    """Read a folder of MovieLens as the demo does, and return its data; nothing where it is refused."""
    try:
        with in_time():
            data = movielens.read(path)
    except DatasetError as error:
        clear(str(error))
        return None
    whole(data)
    return data


def whole(data: Dataset) -> None:
    """Assert that the records of a data set are valid, and its bad lines and notes clear."""
    for record in (*data.items, *data.profiles, *data.interactions):
        valid(record)
    ids = [record.event_id for record in (*data.profiles, *data.interactions)]
    assert len(set(ids)) == len(ids)
    times = [event.occurred_at for event in data.interactions]
    assert times == sorted(times)
    for line in data.bad_lines:
        clear(str(line))
    for remark in data.notes:
        clear(remark)


def everything(path: Path) -> None:
    """Read a file or folder with every reader."""
    catalogue(path)
    events(path)
    demo(path)


@contextmanager
def folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        for file, data in files.items():
            (Path(name) / file).write_bytes(data)
        yield Path(name)
