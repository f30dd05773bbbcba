"""Hybrid search of the catalog in PostgreSQL, by text, by similarity and by distance, and lookup of existing items.

The rankings are merged by reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009). Private items are excluded
from search but not from lookup: an item fetched for two users is stored once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import asyncpg

from domain.nearby import UNKNOWN, Spot
from infra.postgres.distance import UNTIED, Within, distance_by, nearby
from infra.postgres.parameters import Bind, Parameters
from infra.postgres.pool import INDEXED_CHARS
from infra.postgres.segment import any_word

_RANKED = 50
"""Length of each ranking."""
_DAMPING = 60
_LAST = 1_000
"""Added to the ranks of the newest items, which only fill up the results."""

_WITH_KEYS = f"""
SELECT item_id, title_key, year, city_key, latitude, longitude FROM catalogue JOIN items USING (item_id)
WHERE catalogue.category = $1 AND left(title_key, {INDEXED_CHARS}) = ANY($2) AND title_key = ANY($3)
ORDER BY private, catalogue.created_at, item_id
"""  # noqa: S608 - the number is ours


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridQuery:
    """A query by words, embedding and location."""

    category: str
    words: Sequence[str] = ()
    vector: Sequence[float] | None = None
    """Embedding of the words, by the same encoder as the catalog's embeddings."""
    user: Spot = UNKNOWN
    """Location of the user. If it is unknown, items tied to a location are excluded."""
    excluded_ids: Sequence[str] = ()
    """Items to exclude."""
    limit: int


@dataclass(frozen=True, slots=True)
class Match:
    """One matching item."""

    item_id: str
    title: str
    topics: list[str] = field(default_factory=list)


class KnownItem(NamedTuple):
    """An existing item with the fields that identify it."""

    item_id: str
    title_key: str
    year: str
    city_key: str
    latitude: float | None
    longitude: float | None


class HybridSearch:
    """Searches the tables that the archive role maintains. Raises `pool.AWAY` while PostgreSQL does not answer."""

    def __init__(self, pool: asyncpg.Pool, *, encoder: str, radius_km: float, hides_out_of_stock: bool) -> None:
        """Configure the search.

        Args:
            pool: Connections.
            encoder: Name of the encoder of the embeddings.
            radius_km: Maximum distance of an item in km.
            hides_out_of_stock: Whether to exclude items that are out of stock.
        """
        self.radius_km = radius_km
        self._pool, self._encoder = pool, encoder
        self._hides_out_of_stock = hides_out_of_stock
        self._within: Within | None = None

    async def search(self, query: HybridQuery) -> list[Match]:
        """Return the matches, best first."""
        parameters = Parameters()
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            if self._within is None:
                self._within = await distance_by(connection)
            statement = self._statement(query, parameters.bind, self._within)
            await connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = await connection.fetch(statement, *parameters.values)
        return [Match(row["item_id"], row["title"], row["topics"]) for row in rows]

    async def known(self, category: str, title_keys: Sequence[str]) -> list[KnownItem]:
        """Return the existing items of a category with one of some title keys."""
        rows = await self._pool.fetch(
            _WITH_KEYS,
            category,
            [key[:INDEXED_CHARS] for key in title_keys],
            list(title_keys),
        )
        return [KnownItem(*row) for row in rows]

    def _statement(self, query: HybridQuery, bind: Bind, within: Within) -> str:
        conditions = [
            f"catalogue.category = {bind(query.category)}",
            f"item_id <> ALL({bind(list(query.excluded_ids))}::text[])",
            nearby(bind, within, query.user, self.radius_km) if query.user.is_known else UNTIED,
            "NOT private",
        ]
        if self._hides_out_of_stock:
            conditions.append("NOT sold_out")
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
            f"WITH pool AS NOT MATERIALIZED (SELECT catalogue.* FROM catalogue JOIN items USING (item_id)"  # noqa: S608 - values are bound
            f" WHERE {' AND '.join(conditions)}),"
            f" ranked AS ({' UNION ALL '.join(rankings)})"
            " SELECT items.item_id, title, topics FROM ranked JOIN items USING (item_id) GROUP BY items.item_id"
            f" ORDER BY sum(1.0 / ({_DAMPING} + rank)) DESC, items.item_id LIMIT {limit}"
        )


def vector_text(vector: Iterable[float]) -> str:
    """Return a vector in pgvector's text format."""
    return "[" + ",".join(f"{number:.6g}" for number in vector) + "]"


def _ranking(statement: str, after: int = 0) -> str:
    return f"(SELECT item_id, {after} + row_number() OVER () AS rank FROM ({statement}) AS best)"  # noqa: S608
