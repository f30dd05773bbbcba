"""Reader of click sessions in the format of the RSC15 preparation of https://github.com/hidasib/GRU4Rec.

    *_train_full.txt  *_test.txt    SessionId  ItemId  Time, separated by tabs; Time in seconds

Each session counts as a separate user, since the data does not identify returning users.
"""

from __future__ import annotations

from pathlib import Path

from loaders.dataset import Dataset
from loaders.datasets import table


def matches(path: Path) -> bool:
    """Return whether a folder holds such files."""
    files = _files(path)
    return bool(files) and all(table.matches(file) for file in files)


def read(path: Path) -> Dataset:
    """Read the training days and the last day as one stream."""
    return table.read_tables(path, _files(path), repeats=True)


def _files(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*_train_full.txt")), *sorted(folder.glob("*_test.txt"))] if folder.is_dir() else []
