"""Reads many Parquet tables, whole and broken, and prints the seed of each that does not end as it should.

A process of its own: with all that the other tests load beside it, pyarrow 26 reads where nothing is.

Usage: python -m tests.unit.loaders.parquet_fuzz COUNT FIRST_SEED
"""

from __future__ import annotations

import random
import sys
import tempfile
import traceback
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from loaders import DatasetError
from loaders.dataset import validate
from loaders.datasets import detect

CELLS: tuple[tuple[Any, ...], ...] = (
    ("a", "b", "é", "", "NULL", "x" * 300, "~all", "\u202e", None),
    (1, 2, -1, 0, 2**62, None),
    (1.0, 2.5, float("nan"), float("inf"), 1e300, None),
    (b"a", b"\xff", b"", None),
    (True, False, None),
    ([1], [], None),
    ({"a": 1}, {"a": 2}, None),
    (Decimal("1.50"), Decimal("100.00"), None),
    (datetime(2014, 4, 7, tzinfo=UTC), datetime(1931, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), None),
    (datetime(2014, 4, 7), datetime(1, 1, 1), None),
    (date(2014, 4, 7), date(1, 1, 1), None),
    (1396860669, 1396860670, None),
    ("2014-04-07", "soon", "01/02/2014"),
)


def table(rng: random.Random) -> pyarrow.Table:
    """Return a table whose columns are of any type."""
    rows = rng.randrange(5)
    columns = {}
    for name in ("user_id", "item_id", *rng.choice(([], ["rating"])), "timestamp"):
        kind = rng.choice((*CELLS[:2], CELLS[11])) if rng.random() < 0.6 else rng.choice(CELLS)
        columns[name] = [rng.choice(kind) for _ in range(rows)]
    parquet_table = pyarrow.table(columns)
    if rng.random() < 0.2:
        odd = pyarrow.array([rng.choice((0, 1, 10**14, -(10**14))) for _ in range(rows)], pyarrow.timestamp("s"))
        parquet_table = parquet_table.set_column(parquet_table.num_columns - 1, "timestamp", odd)
    return parquet_table


def broken(rng: random.Random, data: bytes) -> bytes:
    """Return bytes of which some are changed or cut off; those of the metadata at the end more often."""
    damage = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data)) if rng.random() < 0.3 else len(data) - 1 - rng.randrange(min(600, len(data)))
        damage[at] ^= 1 << rng.randrange(8)
    return bytes(damage[: rng.randrange(len(damage))] if rng.random() < 0.2 else damage)


def assert_read(file: Path, rows: int | None) -> None:
    """Assert that a table is read, with each of its rows where their number is known, or refused in words."""
    refusal = ""
    try:
        data = detect.read(file)
        assert all(validate(event) == event for event in data.interactions)
        assert rows in (None, len(data.interactions) + len(data.bad_lines))
    except DatasetError as error:
        refusal = str(error)
    assert all(line.isprintable() for line in refusal.split("\n"))


def main(count: int, first: int) -> None:
    """Print the seed and the error of each table that ends with another one, or yields what it should not."""
    file = Path(tempfile.mkdtemp()) / "t.parquet"
    for seed in range(first, first + count):
        rng = random.Random(seed)
        parquet_table = table(rng)
        parquet.write_table(parquet_table, file)
        is_whole = rng.random() < 0.5
        if not is_whole:
            file.write_bytes(broken(rng, file.read_bytes()))
        try:
            assert_read(file, parquet_table.num_rows if is_whole else None)
        except Exception:
            print(seed, traceback.format_exc())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
