"""The catalogue in PostgreSQL: searched by text, by likeness and by distance, and asked what it holds already.

The three rankings are merged by reciprocal ranks (Cormack, Clarke and Büttcher, SIGIR 2009). Distance is a matter of
PostGIS where it is there, of H3 cells and the haversine formula where it is not; both give the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
import h3

from infra.database import INDEXED_CHARS, equals
from infra.segment import Bind, any_word

REGION_RESOLUTION = 4
"""H3 resolution of the regions that items are found by: cells with edges of 26 km, and nowhere less than 20."""
_SHORTEST_EDGE_KM = 20.0
_EARTH_KM = 6371.0088
_RANKED = 50
"""Items that each ranking names."""
_DAMPING = 60
_LAST = 1_000
"""Added to the ranks of the newest items: they only fill up what the words leave."""

_WITH_KEYS = f"""
SELECT item_id, title_key, year, city_key, latitude, longitude FROM catalogue
WHERE category = $1 AND left(title_key, {INDEXED_CHARS}) = ANY($2) AND title_key = ANY($3)
ORDER BY created_at, item_id
"""  # noqa: S608 - the number is ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for."""

    category: str
    words: Sequence[str] = ()
    vector: Sequence[float] | None = None
    """Of the words, by the encoder that made the catalogue's."""
    cell: str | None = None
    city_key: str = ""
    """Without a cell and a city only what is nowhere in particular is found."""
    known: Sequence[str] = ()
    """Items not to be found."""
    limit: int


@dataclass(frozen=True, slots=True)
class Match:
    """One item found."""

    item_id: str
    title: str
    topics: list[str] = field(default_factory=list)


class Known(NamedTuple):
    """What an item is recognised by."""

    item_id: str
    title_key: str
    year: str
    city_key: str
    latitude: float | None
    longitude: float | None


class Catalogue:
    """Reads what the archive role has made ready. Raises `database.AWAY` while PostgreSQL does not answer."""

    def __init__(self, pool: asyncpg.Pool, *, encoder: str, radius_km: float) -> None:
        """`encoder` is the name of what made the vectors; `radius_km` how far away an item may be."""
        self._pool, self._encoder, self._radius_km = pool, encoder, radius_km
        self._distance: Callable[[Bind, str, float], str] | None = None

    async def search(self, query: Query) -> list[Match]:
        """Return the best matches, best first."""
        values: list[Any] = []

        def bind(value: Any) -> str:
            values.append(value)
            return f"${len(values)}"

        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            if self._distance is None:
                self._distance = await distance_by(connection)
            statement = self._statement(query, bind, self._distance)
            await connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = await connection.fetch(statement, *values)
        return [Match(row["item_id"], row["title"], row["topics"]) for row in rows]

    async def known(self, category: str, title_keys: Sequence[str]) -> list[Known]:
        """Return what there is in a category under some keys."""
        rows = await self._pool.fetch(
            _WITH_KEYS,
            category,
            [key[:INDEXED_CHARS] for key in title_keys],
            list(title_keys),
        )
        return [Known(*row) for row in rows]

    def _statement(self, query: Query, bind: Bind, distance: Callable[[Bind, str, float], str]) -> str:
        pool = " AND ".join(
            (
                f"category = {bind(query.category)}",
                f"item_id <> ALL({bind(list(query.known))}::text[])",
                self._place(query, bind, distance),
            )
        )
        limit = bind(query.limit)
        rankings = [
            _ranking(f"SELECT item_id FROM pool ORDER BY created_at DESC, item_id LIMIT {limit}", _LAST)  # noqa: S608
        ]
        words = any_word(query.words, bind)
        if words is not None:
            rankings.append(
                _ranking(
                    f"SELECT item_id FROM pool, (SELECT {words}) AS asked (question)"  # noqa: S608
                    f" WHERE document @@ question ORDER BY ts_rank(document, question) DESC, item_id LIMIT {_RANKED}"
                )
            )
        if query.vector is not None:
            vector = bind(vector_text(query.vector))
            rankings.append(
                _ranking(
                    f"SELECT item_id FROM pool WHERE encoder = {bind(self._encoder)}"  # noqa: S608
                    f" ORDER BY embedding <=> {vector}::text::vector LIMIT {_RANKED}"
                )
            )
        return (
            f"WITH pool AS NOT MATERIALIZED (SELECT * FROM catalogue WHERE {pool}),"  # noqa: S608 - values are bound
            f" ranked AS ({' UNION ALL '.join(rankings)})"
            " SELECT items.item_id, title, topics FROM ranked JOIN items USING (item_id) GROUP BY items.item_id"
            f" ORDER BY sum(1.0 / ({_DAMPING} + rank)) DESC, items.item_id LIMIT {limit}"
        )

    def _place(self, query: Query, bind: Bind, distance: Callable[[Bind, str, float], str]) -> str:
        """Return the condition that an item is where it is looked for."""
        if query.cell is None:
            by_city = equals("city_key", query.city_key, bind)
            return by_city if query.city_key else f"latitude IS NULL AND {by_city}"
        near = distance(bind, query.cell, self._radius_km)
        return (
            f"({near} OR latitude IS NULL AND {equals('city_key', query.city_key, bind)})" if query.city_key else near
        )


async def distance_by(connection: Any) -> Callable[[Bind, str, float], str]:
    """Return what tells distances in a database: `by_postgis` or `by_cells`."""
    found = await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    return by_postgis if found else by_cells


def by_postgis(bind: Bind, cell: str, radius_km: float) -> str:
    """Return the condition that an item is near a cell's middle, told by PostGIS."""
    latitude, longitude = h3.cell_to_latlng(cell)
    point = f"ST_MakePoint({bind(longitude)}::double precision, {bind(latitude)}::double precision)"
    item, middle = (f"ST_SetSRID({at}, 4326)::geography" for at in ("ST_MakePoint(longitude, latitude)", point))
    return f"ST_DWithin({item}, {middle}, {bind(radius_km * 1_000)}::double precision, false)"


def by_cells(bind: Bind, cell: str, radius_km: float) -> str:
    """Return the condition that an item is near a cell's middle, told by H3 cells and the haversine formula."""
    latitude, longitude = (f"{bind(degrees)}::double precision" for degrees in h3.cell_to_latlng(cell))
    sine = (
        f"sqrt(sind((latitude - {latitude}) / 2) ^ 2"
        f" + cosd(latitude) * cosd({latitude}) * sind((longitude - {longitude}) / 2) ^ 2)"
    )
    return (
        f"(region = ANY({bind(regions(cell, radius_km))})"
        f" AND {2 * _EARTH_KM} * asin(least(1, {sine})) <= {bind(radius_km)}::double precision)"
    )


def region(cell: str) -> str:
    """Return the region that a cell lies in; of a coarser cell, the one in its middle."""
    if h3.get_resolution(cell) < REGION_RESOLUTION:
        return str(h3.cell_to_center_child(cell, REGION_RESOLUTION))
    return str(h3.cell_to_parent(cell, REGION_RESOLUTION))


def regions(cell: str, radius_km: float) -> list[str]:
    """Return the regions that hold everything within a radius of a cell's middle."""
    rings = math.ceil(radius_km / (1.5 * _SHORTEST_EDGE_KM)) + 1
    middle = h3.latlng_to_cell(*h3.cell_to_latlng(cell), REGION_RESOLUTION)
    return sorted(h3.grid_disk(middle, rings))


def vector_text(vector: Iterable[float]) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(f"{number:.6g}" for number in vector) + "]"


def _ranking(statement: str, after: int = 0) -> str:
    return f"(SELECT item_id, {after} + row_number() OVER () AS rank FROM ({statement}) AS best)"  # noqa: S608
