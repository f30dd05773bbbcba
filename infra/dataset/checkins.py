"""Reads check-ins: who was where and when, with the places' coordinates but without their names.

X.npy      user, place, minutes since a start that is not told
X_POI.npy  place, latitude, longitude

*.csv *.txt of https://snap.stanford.edu/data/loc-gowalla.html: user, ISO time, latitude, longitude, place, by tabs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import h3
import numpy as np
from numpy.typing import NDArray

from infra.dataset import delimited, moment
from infra.dataset.cell import is_missing
from infra.dataset.dataset import BadLine, Dataset, DatasetError, event_id
from infra.dataset.encoding import is_decoded
from schemas.types import Interaction, Item

CELL_RESOLUTION = 9
"""H3 resolution of where a place is: 0.1 km², a city block or two."""
_MINUTE_MS = 60_000
_POI = "_POI.npy"
_FIELDS = 5


def matches(path: Path) -> bool:
    """Say whether a path is a pair of arrays, or a folder that holds one."""
    return _pair(path) is not None


def read(path: Path) -> Dataset:
    """Read a pair of arrays.

    Raises:
        DatasetError: there is no such pair, or an array has not three columns.
    """
    pair = _pair(path)
    if pair is None:
        raise DatasetError(path, "it should hold X.npy and X_POI.npy")
    visits, places = (_array(file) for file in pair)
    bad_lines: list[BadLine] = []
    events: list[Interaction] = []
    for line, (user, place, minutes) in enumerate(visits.tolist(), start=1):
        if not (np.isfinite((user, place, minutes)).all() and minutes >= 0):
            bad_lines.append(
                BadLine(pair[0].name, line, f"{user:g}, {place:g}, {minutes:g} is no user, place and time")
            )
            continue
        events.append(_visit(path.name, line, (str(int(user)), str(int(place)), round(minutes * _MINUTE_MS))))
    known = {str(int(place)): (latitude, longitude) for place, latitude, longitude in places.tolist()}
    return _dataset(path, events, known, bad_lines)


def gowalla_matches(path: Path) -> bool:
    """Say whether a path is a file of check-ins, or a folder that holds one."""
    return _gowalla(path) is not None


def read_gowalla(path: Path) -> Dataset:
    """Read a file of check-ins.

    Raises:
        DatasetError: there is no such file.
    """
    file = _gowalla(path)
    if file is None:
        raise DatasetError(path, "it should hold lines of user, ISO time, latitude, longitude, place")
    bad_lines: list[BadLine] = []
    events: list[Interaction] = []
    known: dict[str, tuple[float, float]] = {}
    for line, fields in _lines(file):
        try:
            visit, where = _parse(fields)
        except ValueError as error:
            bad_lines.append(BadLine(file.name, line, str(error)))
            continue
        known[visit[1]] = where
        events.append(_visit(path.name, line, visit))
    return _dataset(path, events, known, bad_lines)


def _dataset(
    path: Path, events: list[Interaction], known: dict[str, tuple[float, float]], bad_lines: list[BadLine]
) -> Dataset:
    events.sort(key=lambda event: event.occurred_at)
    first_ms: dict[str, int] = {}
    for event in events:
        first_ms.setdefault(event.item_id or "", event.occurred_at)
    items = [_place(place, where, first_ms.get(place, 0)) for place, where in known.items()]
    return Dataset(name=path.stem, items=items, profiles=[], interactions=events, repeats=True, bad_lines=bad_lines)


def _visit(name: str, line: int, visit: tuple[str, str, int]) -> Interaction:
    user, place, at_ms = visit
    return Interaction(
        event_id=event_id(at_ms, name, line), user_id=user, item_id=place, action="click", occurred_at=at_ms
    )


def _place(place: str, where: tuple[float, float], first_ms: int) -> Item:
    cell = str(h3.latlng_to_cell(*where, CELL_RESOLUTION))
    return Item(item_id=place, category="places", title=f"Place {place}", cell=cell, created_at=first_ms)


def _pair(path: Path) -> tuple[Path, Path] | None:
    files: Iterable[Path] = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    for file in files:
        beside = file.with_name(f"{file.stem}{_POI}")
        if file.suffix == ".npy" and file.is_file() and beside.is_file():
            return file, beside
    return None


def _array(file: Path) -> NDArray[np.float64]:
    found = np.load(file, allow_pickle=False)
    if found.ndim != 2 or found.shape[1] != 3:
        raise DatasetError(file, f"an array of shape {found.shape} instead of three columns")
    return np.asarray(found, np.float64)


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


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    for row in delimited.read(file, len, separator="\t").rows():
        yield row.line, row.fields


def _parse(fields: list[str]) -> tuple[tuple[str, str, int], tuple[float, float]]:
    if len(fields) != _FIELDS:
        raise ValueError(f"{len(fields)} fields instead of {_FIELDS}")
    user, time, latitude, longitude, place = (field.strip() for field in fields)
    (at_ms,) = moment.read([time])
    if isinstance(at_ms, ValueError):
        raise at_ms
    if is_missing(user) or is_missing(place):
        raise ValueError("the user or the place is missing")
    if not is_decoded(user + place):
        raise ValueError("the user or the place holds bytes that the encoding of the file does not have")
    where = float(latitude), float(longitude)
    if not (abs(where[0]) <= 90 and abs(where[1]) <= 180):
        raise ValueError(f"{latitude}, {longitude} is nowhere on Earth")
    return (user, place, at_ms), where
