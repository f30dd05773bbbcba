"""items → catalogue, both in PostgreSQL: each item made ready to be searched and recognised."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import asyncpg

from infra.catalogue import vector_text
from infra.distance import region
from models.minilm import MiniLm
from models.subword import Subword
from models.text import TextEncoder, Vectors, text_of
from schemas.identity import identity
from schemas.nearby import spot
from schemas.types import Item

ENCODERS: dict[str, type[TextEncoder]] = {"subwords": Subword, "minilm": MiniLm}
"""By the name in the setting TEXT_ENCODER; none of them has to be fitted."""
_MOST_ITEMS = 500
_REST = 20.0
"""How many times what counting words took is left until they are counted again."""
_LOOK_EVERY_S = 60.0
_LOG = logging.getLogger(__name__)
_COLUMNS = (
    *("item_id", "category", "title_key", "year", "city_key", "latitude", "longitude", "region", "is_exact"),
    *("encoder", "created_at", "appended_at", "offset", "embedding", "document"),
)
_STALE = """
SELECT items.* FROM items LEFT JOIN catalogue USING (item_id)
WHERE catalogue.item_id IS NULL OR catalogue.encoder <> $1
   OR (catalogue.appended_at, catalogue."offset") <> (items.appended_at, items."offset")
LIMIT $2
"""
_PUT = f"""
INSERT INTO catalogue ({", ".join(f'"{name}"' for name in _COLUMNS)})
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::vector,
       setweight(to_tsvector('english', title), 'A')
       || setweight(to_tsvector('english', concat_ws(' ', array_to_string(topics, ' '), brand, category)), 'B')
       || setweight(to_tsvector('english', description), 'C')
FROM items WHERE item_id = $1
ON CONFLICT (item_id) DO UPDATE SET {", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS[1:])}
"""  # noqa: S608 - all names are ours
_COUNTED = """
SELECT word, ndoc FROM ts_stat($$
    SELECT to_tsvector('simple', concat_ws(' ', title, array_to_string(topics, ' '), brand, category)) FROM items
    WHERE NOT private
$$) WHERE word ~ '^[[:alpha:]][[:alnum:]]{1,39}$'
"""
_SPELL = f"""
WITH counted AS MATERIALIZED ({_COUNTED}),
     gone AS (DELETE FROM words WHERE word NOT IN (SELECT word FROM counted))
INSERT INTO words (word, items, stem, trigrams)
SELECT word, ndoc, coalesce((ts_lexize('english_stem', word))[1], word), trigrams(word) FROM counted
ON CONFLICT (word) DO UPDATE SET items = excluded.items WHERE words.items <> excluded.items
"""  # noqa: S608 - nothing in it is given


class Indexing:
    """Follows the table of items. Two that do so at once do it twice, to the same end."""

    def __init__(self, pool: asyncpg.Pool, encoder: TextEncoder) -> None:
        self._pool, self._encoder = pool, encoder
        self._changed = asyncio.Event()
        self._unspelled, self._not_before_s = True, 0.0
        self.indexed = 0
        """Items indexed since the start."""

    def wake(self) -> None:
        """Say that items have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Index what has changed, until cancelled; while PostgreSQL is away, what is left to do waits."""
        while True:
            self._changed.clear()
            wait_s = _LOOK_EVERY_S
            try:
                while await self.step():
                    self._unspelled = True
                if self._unspelled and time.monotonic() >= self._not_before_s:
                    await self.spell()
                elif self._unspelled:
                    wait_s = min(self._not_before_s - time.monotonic(), _LOOK_EVERY_S)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _LOG.warning("the catalogue is not indexed now: %s", error)
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue

    async def step(self) -> int:
        """Index some of what has changed and return how many items those were."""
        rows = await self._pool.fetch(_STALE, self._encoder.name, _MOST_ITEMS)
        if rows:
            vectors = await asyncio.to_thread(self._encoder.encode, [text_of(_item(row)) for row in rows])
            async with self._pool.acquire() as connection:
                await connection.executemany(_PUT, list(map(self._entry, rows, vectors)))
            self.indexed += len(rows)
        return len(rows)

    async def spell(self) -> None:
        """Note which words items are described by, and how many are by each; all are counted, so not all the time."""
        began_s = time.monotonic()
        self._unspelled = False
        await self._pool.execute(_SPELL)
        ended_s = time.monotonic()
        self._not_before_s = ended_s + _REST * (ended_s - began_s)

    def _entry(self, row: Any, vector: Vectors) -> tuple[Any, ...]:
        known = identity(row["title"], year=row["attributes"].get("year", ""), city=row["city"])
        where = spot(row["cell"], row["city"])
        return (
            *(row["item_id"], row["category"], *known, *(where.point or (None, None))),
            *(region(where.point) if where.point else None, where.is_exact),
            *(self._encoder.name, row["created_at"], row["appended_at"], row["offset"]),
            vector_text(vector.tolist()) if vector.any() else None,
        )


def _item(row: Any) -> Item:
    told = {name: row[name] for name in ("item_id", "category", "title", "description", "topics")}
    return Item(**told, created_at=0)
