"""Reader of check-ins of users at places, with coordinates of the places but without names.

X.npy      user, place, minutes since an unknown start
X_POI.npy  place, latitude, longitude

*.csv *.txt of https://snap.stanford.edu/data/loc-gowalla.html: user, ISO time, latitude, longitude, place, by tabs
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h3
import numpy as np

from domain.timestamp import MINUTE_MS
from loaders.dataset import BadLine, Dataset, DatasetError, event_id, no_line, validate
from loaders.tables import delimited, timestamp
from loaders.tables.cell import is_missing
from loaders.tables.encoding import is_decoded
from schemas.types import Interaction, Item

CELL_RESOLUTION = 9
"""H3 resolution of a place's cell: 0.1 km², a city block or two."""
_POI = "_POI.npy"
_EXACT = 2**53
"""Largest size up to which a float represents every whole number."""
_MAGIC = b"\x93NUMPY"
_FIELDS = 5


def matches(path: Path) -> bool:
    """Return whether a path is a pair of arrays, or a folder that holds one."""
    return _pair(path) is not None


def read(path: Path) -> Dataset:
    """Read a pair of arrays.

    Raises:
        DatasetError: the pair is missing, an array does not have three columns of numbers, or no line is readable.
    """
    pair = _pair(path)
    if pair is None:
        raise DatasetError(path, "it should hold X.npy and X_POI.npy")
    visits, places = pair
    bad_lines: list[BadLine] = []
    events: list[Interaction] = []
    for line, (user, place, minutes) in enumerate(_rows(visits), start=1):
        try:
            visit = _id(user), _id(place), round(minutes * MINUTE_MS)
            events.append(_visit(path.name, line, visit))
        except (ValueError, OverflowError):
            problem = f"{user:g}, {place:g}, {minutes:g} is no user, place and time"
            bad_lines.append(BadLine(visits.name, line, problem))
    positions: dict[str, tuple[float, float]] = {}
    for line, (place, latitude, longitude) in enumerate(_rows(places), start=1):
        try:
            point = _position(latitude, longitude)
            if positions.setdefault(_id(place), point) is not point:
                bad_lines.append(BadLine(places.name, line, f"an earlier line has the place {place:g}"))
        except (ValueError, OverflowError):
            problem = f"{place:g}, {latitude:g}, {longitude:g} is no place, latitude and longitude"
            bad_lines.append(BadLine(places.name, line, problem))
    return _dataset(path, events, positions, bad_lines)


def gowalla_matches(path: Path) -> bool:
    """Return whether a path is a file of check-ins, or a folder that holds one."""
    return _gowalla(path) is not None


def read_gowalla(path: Path) -> Dataset:
    """Read a file of check-ins.

    Raises:
        DatasetError: the file is missing, or no line is readable.
    """
    file = _gowalla(path)
    if file is None:
        raise DatasetError(path, "it should hold lines of user, ISO time, latitude, longitude, place")
    bad_lines: list[BadLine] = []
    events: list[Interaction] = []
    positions: dict[str, tuple[float, float]] = {}
    for row in delimited.read(file, len, separator="\t").rows(_FIELDS):
        try:
            if row.problem:
                raise ValueError(row.problem)
            visit, point = _parse(row.fields)
            events.append(_visit(path.name, row.line, visit))
            positions[visit[1]] = point
        except ValueError as error:
            bad_lines.append(BadLine(file.name, row.line, str(error)))
    return _dataset(path, events, positions, bad_lines)


def _dataset(
    path: Path, events: list[Interaction], positions: dict[str, tuple[float, float]], bad_lines: list[BadLine]
) -> Dataset:
    if not events:
        raise DatasetError(path, no_line(bad_lines))
    events.sort(key=lambda event: event.occurred_at)
    first_ms: dict[str, int] = {}
    for event in events:
        first_ms.setdefault(event.item_id or "", event.occurred_at)
    items = [_place(place, point, first_ms.get(place, 0)) for place, point in positions.items()]
    return Dataset(name=path.stem, items=items, profiles=[], interactions=events, repeats=True, bad_lines=bad_lines)


def _visit(name: str, line: int, visit: tuple[str, str, int]) -> Interaction:
    user, place, at_ms = visit
    number = event_id(at_ms, name, line)
    return validate(Interaction(event_id=number, user_id=user, item_id=place, action="click", occurred_at=at_ms))


def _place(place: str, point: tuple[float, float], first_ms: int) -> Item:
    cell = str(h3.latlng_to_cell(*point, CELL_RESOLUTION))
    return validate(Item(item_id=place, category="places", title=f"Place {place}", cell=cell, created_at=first_ms))


def _pair(path: Path) -> tuple[Path, Path] | None:
    files: Iterable[Path] = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    for file in files:
        beside = file.with_name(f"{file.stem}{_POI}")
        if file.suffix == ".npy" and file.is_file() and beside.is_file():
            return file, beside
    return None


def _rows(file: Path) -> list[tuple[float, float, float]]:
    """Return the rows of an array of three columns.

    Raises:
        DatasetError: the file has another content.
    """
    with file.open("rb") as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise DatasetError(file, "it is not an array that numpy.save has written")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)  # never more memory than the file has bytes
    except Exception as error:  # any error that a broken header causes: Value, Type, Token, Memory …
        raise DatasetError(file, f"its array cannot be read: {error}") from error
    if array.ndim != 2 or array.shape[1] != 3:
        raise DatasetError(file, f"an array of shape {array.shape} instead of three columns")
    if array.dtype.kind not in "iuf":
        raise DatasetError(file, f"an array of {array.dtype} instead of numbers")
    return array.tolist()  # type: ignore[no-any-return]


def _id(number: float) -> str:
    """Return a whole number as an id.

    Raises:
        ValueError, OverflowError: the number is not whole, or a float too large to be exact.
    """
    if number != int(number) or (isinstance(number, float) and abs(number) > _EXACT):
        raise ValueError(f"{number:g} is not one whole number")
    return str(int(number))


def _position(latitude: float, longitude: float) -> tuple[float, float]:
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise ValueError(f"{latitude:g}, {longitude:g} is nowhere on Earth")
    return latitude, longitude


def _gowalla(path: Path) -> Path | None:
    files: Iterable[Path] = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if file.suffix not in {".csv", ".txt", ".tsv"} or not file.is_file():
            continue
        try:
            _parse(delimited.read_header(file, len, separator="\t"))
        except ValueError:
            continue
        return file
    return None


def _parse(fields: list[str]) -> tuple[tuple[str, str, int], tuple[float, float]]:
    if len(fields) != _FIELDS:
        raise ValueError(f"{len(fields)} fields instead of {_FIELDS}")
    user, time, latitude, longitude, place = (field.strip() for field in fields)
    (at_ms,) = timestamp.read([time])
    if isinstance(at_ms, ValueError):
        raise at_ms
    if is_missing(user) or is_missing(place):
        raise ValueError("the user or the place is missing")
    if not is_decoded(user + place):
        raise ValueError("the user or the place holds bytes that the encoding of the file does not have")
    return (user, place, at_ms), _position(float(latitude), float(longitude))
