"""Locations of items and users, and the index of items too far away for a user.

An item is tied to a location by an H3 cell, by the name of a city, or by both; the cell takes precedence. A user's
location is that of the newest ping, or else the city of the profile. The distance decides, measured from the centre of
a cell or city (`domain.gazetteer`). Where either location is a city or a coarse cell, the radius is at least 25 km.
City names unknown to the gazetteer are compared as names.

Items without a location are near to all users. For a user without a location, no located item is near.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import h3
import numpy as np
from numpy.typing import NDArray

from domain.cell import is_cell
from domain.gazetteer import EARTH_KM, LONGEST_NAME, find_city, unit_vectors
from domain.identity import city_key

CITY_KM = 25.0
"""Radius of a city, for locations known only by the city's name."""
_FINE = 7
"""Least H3 resolution of an exact location: 1.4 km from the centre of a cell to its corners."""
_GROWTH = 1_024
_NO_NAME = -1


class GeoLocation(NamedTuple):
    """A location; all fields are empty for an unknown one."""

    point: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    is_exact: bool = False
    """Whether the point is that of a fine cell, rather than of a coarse cell or a city."""
    city: str = ""
    """Key of the city's name; empty without a city."""

    @property
    def is_known(self) -> bool:
        """Return whether the location is known."""
        return self.point is not None or bool(self.city)


UNKNOWN_LOCATION = GeoLocation()


def geo_location(cell: str | None, city: str | None, timezone: str = "") -> GeoLocation:
    """Return the location of an item or a user.

    Args:
        cell: The H3 cell, which takes precedence over the city.
        city: Name of the city, in any language.
        timezone: The user's time zone, which distinguishes cities of one name.
    """
    lookup = _spot if len(cell or "") + len(city or "") + len(timezone) <= LONGEST_NAME else _spot.__wrapped__
    return lookup(cell, city, timezone)


@lru_cache(maxsize=50_000)
def _spot(cell: str | None, city: str | None, timezone: str) -> GeoLocation:
    if cell and is_cell(cell):
        return GeoLocation(h3.cell_to_latlng(cell), h3.get_resolution(cell) >= _FINE, city_key(city))
    located_city = find_city(city, timezone) if city else None
    return GeoLocation(
        located_city.point if located_city else None, city=located_city.key if located_city else city_key(city)
    )


def reach_km(radius_km: float, *, is_exact: bool) -> float:
    """Return the largest distance that is near: the radius between exact locations, at least 25 km otherwise."""
    return radius_km if is_exact else max(radius_km, CITY_KM)


class GeoIndex:
    """Index of item locations, as columns over all items."""

    def __init__(self) -> None:
        self._is_tied = np.zeros(_GROWTH, bool)
        self._is_located = np.zeros(_GROWTH, bool)
        self._is_exact = np.zeros(_GROWTH, bool)
        self._vectors = np.zeros((_GROWTH, 3))
        self._cities = np.full(_GROWTH, _NO_NAME, np.int32)
        self._numbers: dict[str, int] = {}

    def put(self, index: int, cell: str | None, city: str | None) -> None:
        """Set the location of an item."""
        self._reserve(index + 1)
        where = geo_location(cell, city)
        self._is_tied[index], self._is_exact[index] = where.is_known, where.is_exact
        self._is_located[index] = where.point is not None
        if where.point is not None:
            self._vectors[index] = unit_vectors(*where.point)
        self._cities[index] = self._numbers.setdefault(where.city, len(self._numbers)) if where.city else _NO_NAME

    def with_location(self, count: int) -> NDArray[np.int32]:
        """Return the items with a location among the first `count`."""
        return np.flatnonzero(self.is_tied(slice(0, count))).astype(np.int32)

    def is_tied(self, items: slice | NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return (items,) whether each of some items has a location."""
        self._reserve(int(items.stop if isinstance(items, slice) else items.max(initial=-1) + 1))
        return self._is_tied[items]

    def not_near(self, count: int, user: GeoLocation, *, radius_km: float) -> NDArray[np.int32]:
        """Return the items with a location that is not near a user's, among the first `count`."""
        located_items = self.with_location(count)
        return located_items[self.is_far(located_items, user, radius_km=radius_km)]

    def is_far(self, items: NDArray[np.int32], user: GeoLocation, *, radius_km: float) -> NDArray[np.bool_]:
        """Return (items,) whether each of some items has a location that is not near a user's."""
        is_tied = self.is_tied(items)
        is_located, is_near = self._is_located[items], np.zeros(len(items), bool)
        if user.point is not None:
            exact, coarse = (_cosine(reach_km(radius_km, is_exact=is_exact)) for is_exact in (True, False))
            least = np.where(self._is_exact[items], exact, coarse) if user.is_exact else coarse
            is_near = is_located & (self._vectors[items] @ unit_vectors(*user.point) >= least)
        if user.city in self._numbers:
            is_named = self._cities[items] == self._numbers[user.city]
            is_near |= is_named if user.point is None else is_named & ~is_located
        return is_tied & ~is_near

    def first_point(self, items: NDArray[np.int32]) -> NDArray[np.float64] | None:
        """Return the unit vector of the first of some items that has a point; None where none has."""
        indices = items[items < len(self._is_located)]
        located_items = indices[self._is_located[indices]]
        return self._vectors[located_items[0]] if len(located_items) else None

    def distances(
        self, count: int, point: NDArray[np.float64], items: slice | NDArray[np.int32] = slice(None)
    ) -> NDArray[np.float32]:
        """Return straight distances in km from a point to items; infinite for those without a point.

        Args:
            count: Number of all items.
            point: The unit vector from which distances are measured.
            items: Some of the items; all by default.
        """
        self._reserve(count)
        where = slice(0, count) if isinstance(items, slice) else items
        squares = (2.0 - 2.0 * (self._vectors[where] @ point)).astype(np.float32)
        straight = np.sqrt(np.maximum(squares, np.float32(0.0))) * np.float32(EARTH_KM)
        km: NDArray[np.float32] = np.where(self._is_located[where], straight, np.float32(np.inf))
        return km[items] if isinstance(items, slice) else km

    def _reserve(self, count: int) -> None:
        while count > len(self._cities):
            for name in ("_is_tied", "_is_located", "_is_exact", "_vectors"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
            self._cities = np.concatenate([self._cities, np.full_like(self._cities, _NO_NAME)])


def _cosine(km: float) -> float:
    return math.cos(min(km / EARTH_KM, math.pi))
