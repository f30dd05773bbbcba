"""How far items of the table `catalogue` are from a user, as conditions of SQL: by PostGIS where it is there.

Elsewhere H3 cells and the haversine formula serve; both give the same, and the same as `schemas.nearby`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import h3

from infra.postgres.pool import equals
from infra.postgres.segment import Bind
from schemas.gazetteer import EARTH_KM
from schemas.nearby import Spot, reach_km

REGION_RESOLUTION = 4
"""H3 resolution of the regions that items are found by: cells with edges of 26 km, and nowhere less than 20."""
_SHORTEST_EDGE_KM = 20.0
UNTIED = "(latitude IS NULL AND city_key = '')"
"""The condition that an item is tied to no place."""

Point = tuple[float, float]
"""Latitude and longitude in degrees."""
Within = Callable[[Bind, Point, float], str]
"""Returns the condition that an item is within so many km of a point."""


async def distance_by(connection: Any) -> Within:
    """Return how a database measures distances: `by_postgis` or `by_cells`."""
    count = await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    return by_postgis if count else by_cells


def nearby(bind: Bind, within: Within, user: Spot, radius_km: float) -> str:
    """Return the condition that an item is tied to a place near to a user's; see `schemas.nearby`."""
    is_named = equals("city_key", user.city, bind) if user.city else "false"
    if user.point is None:
        return f"({is_named})"
    exact_km, coarse_km = (reach_km(radius_km, is_exact=is_exact) for is_exact in (True, False))
    is_near = within(bind, user.point, coarse_km)
    if user.is_exact and exact_km < coarse_km:
        is_near = f"({within(bind, user.point, exact_km)} OR NOT is_exact AND {is_near})"
    return f"({is_near} OR latitude IS NULL AND {is_named})"


def by_postgis(bind: Bind, point: Point, radius_km: float) -> str:
    """Return the condition that an item is near a point, as PostGIS measures it."""
    latitude, longitude = point
    middle = f"ST_MakePoint({bind(longitude)}::double precision, {bind(latitude)}::double precision)"
    item, user = (f"ST_SetSRID({at}, 4326)::geography" for at in ("ST_MakePoint(longitude, latitude)", middle))
    return f"ST_DWithin({item}, {user}, {bind(radius_km * 1_000)}::double precision, false)"


def by_cells(bind: Bind, point: Point, radius_km: float) -> str:
    """Return the condition that an item is near a point, by H3 cells and the haversine formula."""
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
    """Return the region that a point lies in."""
    return str(h3.latlng_to_cell(*point, REGION_RESOLUTION))


def regions(point: Point, radius_km: float) -> list[str]:
    """Return the regions that hold everything within a radius of a point."""
    rings = math.ceil(radius_km / (1.5 * _SHORTEST_EDGE_KM)) + 1
    return sorted(h3.grid_disk(region(point), rings))
