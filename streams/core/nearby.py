"""Where items are, and who is too far away for them."""

from __future__ import annotations

import math

import h3
import numpy as np
from numpy.typing import NDArray

from models.names import NOWHERE, Names
from schemas.cell import is_cell
from schemas.identity import city_key

_EARTH_KM = 6371.0
_GROWTH = 1_024


class Places:
    """Columns over all items: a unit vector for what has a cell, a number for what has a city."""

    def __init__(self) -> None:
        self._vectors = np.zeros((_GROWTH, 3), np.float32)
        self._cities = np.full(_GROWTH, NOWHERE, np.int32)
        self._keys = Names()
        self._names: list[str] = []
        """A city's name as it was first written, by the number of its key."""

    def put(self, index: int, cell: str | None, city: str | None) -> None:
        """Say where an item is."""
        self._reserve(index + 1)
        vector = _vector(cell)
        self._vectors[index] = 0.0 if vector is None else vector
        self._cities[index] = self._city(city)

    def far(self, count: int, cell: str | None, city: str | None, *, radius_km: float) -> NDArray[np.bool_]:
        """Say of the first so many items whether each is at a place further away from someone's than a radius.

        Someone's cell counts, or their city where there is none; what has no cell is compared by its city. What is
        nowhere in particular is far from nobody, and nothing is far from who is nowhere.
        """
        self._reserve(count)
        vector = _vector(cell)
        name = city if vector is None else self.city_near(cell or "", radius_km=radius_km)
        elsewhere = np.zeros(count, bool)
        if name:
            cities = self._cities[:count]
            elsewhere = (cities != NOWHERE) & (cities != self._keys.get(city_key(name)))
        if vector is None:
            return elsewhere
        vectors = self._vectors[:count]
        return np.where(vectors.any(axis=1), vectors @ vector < math.cos(radius_km / _EARTH_KM), elsewhere)

    def city_near(self, cell: str, *, radius_km: float) -> str | None:
        """Return the city of the nearest item within a radius that names one."""
        vector = _vector(cell)
        if vector is None:
            return None
        closeness = np.where(self._cities != NOWHERE, self._vectors @ vector, -1.0)
        nearest = int(closeness.argmax())
        near = closeness[nearest] >= math.cos(radius_km / _EARTH_KM)
        return self._names[self._cities[nearest]] if near else None

    def _reserve(self, count: int) -> None:
        while count > len(self._cities):
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._cities = np.concatenate([self._cities, np.full_like(self._cities, NOWHERE)])

    def _city(self, name: str | None) -> int:
        key = city_key(name)
        if not name or not key:
            return NOWHERE
        number = self._keys.add(key)
        if number == len(self._names):
            self._names.append(name)
        return number


def _vector(cell: str | None) -> NDArray[np.float32] | None:
    """Return the point on the unit sphere at a cell's middle; None for what is no cell."""
    if cell is None or not is_cell(cell):
        return None
    latitude, longitude = map(math.radians, h3.cell_to_latlng(cell))
    along = math.cos(latitude)
    return np.array([along * math.cos(longitude), along * math.sin(longitude), math.sin(latitude)], np.float32)
