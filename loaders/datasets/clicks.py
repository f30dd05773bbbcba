"""Reads click sessions as the RSC15 preparation of https://github.com/hidasib/GRU4Rec writes them.

    *_train_full.txt  *_test.txt    SessionId  ItemId  Time, parted by tabs; Time in seconds

A session is a user of its own, since nobody knows who came back.
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
