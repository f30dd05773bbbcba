"""Reader of all known formats, with detection of the format of a folder or file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loaders.dataset import Dataset, DatasetError, require_readable
from loaders.datasets import checkins, clicks, movielens, sparse, table
from loaders.tables.encoding import MAGIC_BYTES, other_format


@dataclass(frozen=True, slots=True)
class DatasetFormat:
    """A data set format, with a description of its files, a detector and a reader."""

    name: str
    files: str
    matches: Callable[[Path], bool]
    read: Callable[[Path], Dataset]


FORMATS = (
    DatasetFormat(
        "MovieLens",
        "u.data; ratings.dat; or ratings.csv, with or without the files of movies and users",
        movielens.matches,
        lambda path: movielens.read(path, ratings_suffice=True),
    ),
    DatasetFormat(
        "check-in arrays", "X.npy (user, place, minutes) and X_POI.npy (id, lat, lon)", checkins.matches, checkins.read
    ),
    DatasetFormat(
        "Gowalla check-ins",
        "lines of user, ISO time, lat, lon, place parted by tabs",
        checkins.gowalla_matches,
        checkins.read_gowalla,
    ),
    DatasetFormat(
        "click sessions", "*_train_full.txt and *_test.txt with SessionId, ItemId, Time", clicks.matches, clicks.read
    ),
    DatasetFormat(
        "a table",
        "one .csv, .tsv, .txt, .inter or .parquet with user, item, rating (optional), timestamp",
        table.matches,
        table.read,
    ),
    DatasetFormat(
        "a generated sparse stream",
        f"no file, but a name: {', '.join(f'{sparse.PREFIX}{shape}-SEED' for shape in sparse.SHAPES)}",
        sparse.matches,
        sparse.read,
    ),
)
"""Formats in the order of detection."""


def read(path: Path) -> Dataset:
    """Read a folder or a file of any known format, or generate a stream of a known name.

    Raises:
        DatasetError: the path does not exist, or its format is unknown.
    """
    if not path.exists() and not sparse.matches(path):
        raise DatasetError(path, "there is nothing here")
    with require_readable(path, remedy="write it as UTF-8"):
        for dataset_format in FORMATS:
            if dataset_format.matches(path):
                return dataset_format.read(path)
        problem = _other_format(path) if path.is_file() else ""
    if problem:
        raise DatasetError(path, problem)
    format_list = "\n".join(f"  {fmt.name}: {fmt.files}" for fmt in FORMATS)
    raise DatasetError(path, f"not a known format. These are:\n{format_list}")


def _other_format(path: Path) -> str:
    with path.open("rb") as file:
        return other_format(file.read(MAGIC_BYTES))
