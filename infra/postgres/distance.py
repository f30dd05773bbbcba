"""SQL conditions on the distance between a user and the items of the table `catalogue`, by PostGIS if it is installed.

Otherwise they use H3 cells and the haversine formula. Both give the same results as `domain.nearby`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import h3

from domain.gazetteer import EARTH_KM
from domain.nearby import Spot, reach_km
from infra.postgres.parameters import Bind
from infra.postgres.pool import equals

REGION_RESOLUTION = 4
"""H3 resolution of the indexed regions: cells with edges of 26 km on average, and at least 20 km."""
_SHORTEST_EDGE_KM = 20.0
UNTIED = "(latitude IS NULL AND city_key = '')"
"""The condition that an item is not tied to a location."""

Point = tuple[float, float]
"""Latitude and longitude in degrees."""
Within = Callable[[Bind, Point, float], str]
"""Returns the condition that an item is within a radius in km of a point."""


async def distance_by(connection: Any) -> Within:
    """Return the method of a database to measure distances: `by_postgis` or `by_cells`."""
    count = await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    return by_postgis if count else by_cells


def nearby(bind: Bind, within: Within, user: Spot, radius_km: float) -> str:
    """Return the condition that an item is tied to a location near a user; see `domain.nearby`.

    Args:
        bind: Binds values of the statement.
        within: Method to measure distances.
        user: Location of the user.
        radius_km: Maximum distance in km.
    """
    is_named = equals("city_key", user.city, bind) if user.city else "false"
    if user.point is None:
        return f"({is_named})"
    exact_km, coarse_km = (reach_km(radius_km, is_exact=is_exact) for is_exact in (True, False))
    is_near = within(bind, user.point, coarse_km)
    if user.is_exact and exact_km < coarse_km:
        is_near = f"({within(bind, user.point, exact_km)} OR NOT is_exact AND {is_near})"
    return f"({is_near} OR latitude IS NULL AND {is_named})"


def by_postgis(bind: Bind, point: Point, radius_km: float) -> str:
    """Return the condition that an item is within a radius of a point, by PostGIS."""
    latitude, longitude = point
    middle = f"ST_MakePoint({bind(longitude)}::double precision, {bind(latitude)}::double precision)"
    item, user = (f"ST_SetSRID({at}, 4326)::geography" for at in ("ST_MakePoint(longitude, latitude)", middle))
    return f"ST_DWithin({item}, {user}, {bind(radius_km * 1_000)}::double precision, false)"


def by_cells(bind: Bind, point: Point, radius_km: float) -> str:
    """Return the condition that an item is within a radius of a point, by H3 cells and the haversine formula."""
    latitude, longitude = (f"{bind(degrees)}::double precision" for degrees in point)
    sine = (
        f"sqrt(sind((latitude - {latitude}) / 2) ^ 2"
        f" + cosd(latitude) * cosd({latitude}) * sind((longitude - {longitude}) / 2) ^ 2)"
    )
    return (
        f"(region = ANY({bind(regions(point, radius_km))})"
        f" AND {2 * EARTH_KM} * asin(least(1, {sine})) <= {bind(radius_km)}::double precision)"
    )


def region(point: Point) -> str:
    """Return the region of a point."""
    return str(h3.latlng_to_cell(*point, REGION_RESOLUTION))


def regions(point: Point, radius_km: float) -> list[str]:
    """Return the regions that cover a radius around a point."""
    rings = math.ceil(radius_km / (1.5 * _SHORTEST_EDGE_KM)) + 1
    return sorted(h3.grid_disk(region(point), rings))
