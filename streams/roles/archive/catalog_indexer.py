"""Catalogue indexer: the table items → the table catalogue, prepared for search and for recognition of duplicates.

An item that PostgreSQL refuses becomes a dead letter. It still enters the catalogue, without searchable text, and the
other items are indexed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

from domain.identity import identity
from domain.nearby import geo_location
from domain.timestamp import epoch_ms
from infra.postgres import segment
from infra.postgres.distance import region
from infra.postgres.hybrid_search import vector_text
from infra.postgres.pool import write_errors
from infra.redis.connection import StoreError
from models.text.tfidf import TextEncoder, Vectors, text_of
from schemas.codec import Codec
from schemas.types import Item
from streams.runtime.dead_letter_queue import Message
from streams.runtime.retry import retry_until_available, write_one_by_one

OnReject = Callable[[Any, Exception], Awaitable[None]]
_MAX_ITEMS = 500
_REST = 20.0
"""Pause between two word counts, as a multiple of the duration of the last one."""
_LOOK_EVERY_S = 60.0
_WAITS = "the catalogue index waits for PostgreSQL"
_LOG = logging.getLogger(__name__)
_COLUMNS = (
    *("item_id", "category", "title_key", "year", "city_key", "latitude", "longitude", "region", "is_exact"),
    *("encoder", "created_at", "appended_at", "offset", "embedding", "document", "words"),
)
_STALE = """
SELECT items.* FROM items LEFT JOIN catalogue USING (item_id)
WHERE catalogue.item_id IS NULL OR catalogue.encoder <> $1
   OR (catalogue.appended_at, catalogue."offset") <> (items.appended_at, items."offset")
LIMIT $2
"""
_TOPIC_CHARS = 20_000
"""Characters of topics that fit into a text search vector."""
_PUT = f"""
INSERT INTO catalogue ({", ".join(f'"{name}"' for name in _COLUMNS)})
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::vector, CASE WHEN $19 THEN
       setweight(to_tsvector('english', $15::text), 'A') || setweight(to_tsvector('english', $16::text), 'B')
       || setweight(to_tsvector('english', $17::text), 'C') || $18::text::tsvector ELSE '' END,
       concat_ws(' ', $15::text, $16::text)
FROM items WHERE item_id = $1
ON CONFLICT (item_id) DO UPDATE SET {", ".join(f'"{name}" = excluded."{name}"' for name in _COLUMNS[1:])}
"""  # noqa: S608 - all names are ours
_COUNTED = """
SELECT word, ndoc FROM ts_stat($$
    SELECT to_tsvector('simple', words) FROM catalogue JOIN items USING (item_id) WHERE NOT private
$$) WHERE word ~ '^[[:alpha:]][[:alnum:]]{1,39}$'
"""
_REBUILD_DICTIONARY = f"""
WITH counted AS MATERIALIZED ({_COUNTED}),
     gone AS (DELETE FROM words WHERE word NOT IN (SELECT word FROM counted))
INSERT INTO words (word, items, stem, trigrams)
SELECT word, ndoc, coalesce((ts_lexize('english_stem', word))[1], word), trigrams(word) FROM counted
ON CONFLICT (word) DO UPDATE SET items = excluded.items WHERE words.items <> excluded.items
"""  # noqa: S608 - nothing in it is given


class CatalogIndexer:
    """Follows the table of items. Two concurrent indexers do the work twice, with the same result."""

    def __init__(self, pool: asyncpg.Pool, encoder: TextEncoder, *, on_reject: OnReject | None = None) -> None:
        """Create an indexer.

        Args:
            pool: Connections to PostgreSQL.
            encoder: The encoder of the items' texts.
            on_reject: Called with the row of a refused item and the error; by default the error is logged.
        """
        self._pool, self._encoder = pool, encoder
        self._refuse = on_reject or _log
        self._rejected_versions: set[tuple[str, int]] = set()
        """Versions of items, by id and offset, that PostgreSQL refuses even without their text."""
        self._change = asyncio.Event()
        self._is_dictionary_stale, self._not_before_s = True, 0.0
        self.indexed_count = 0
        """Items indexed since the start."""

    def notify(self) -> None:
        """Signal that items have changed."""
        self._change.set()

    async def run(self) -> None:
        """Index changed items, until cancelled; the work waits while PostgreSQL is unavailable."""
        while True:
            self._change.clear()
            wait_s = _LOOK_EVERY_S
            try:
                while await self.step():
                    self._is_dictionary_stale = True
                if self._is_dictionary_stale and time.monotonic() >= self._not_before_s:
                    await self.rebuild_dictionary()
                elif self._is_dictionary_stale:
                    wait_s = min(self._not_before_s - time.monotonic(), _LOOK_EVERY_S)
            except StoreError as error:
                _LOG.warning("the catalogue cannot be indexed now: %s", error)
            try:
                await asyncio.wait_for(self._change.wait(), wait_s)
            except TimeoutError:
                continue

    async def step(self) -> int:
        """Index one group of changed items and return their number.

        Raises:
            StoreError: PostgreSQL does not answer.
        """
        with write_errors("reading items to index"):
            stale_rows = await self._pool.fetch(_STALE, self._encoder.name, _MAX_ITEMS + len(self._rejected_versions))
        rows = [row for row in stale_rows if (row["item_id"], row["offset"]) not in self._rejected_versions]
        refusals: list[tuple[Any, Exception]] = []
        await write_one_by_one(rows, self._put, lambda row, error: refusals.append((row, error)), log_message=_WAITS)
        for row, error in refusals:
            await self._refuse(row, error)
            await self._put_bare(row)
        self.indexed_count += len(rows)
        return len(rows)

    async def _put(self, rows: Sequence[Any]) -> None:
        vectors = await asyncio.to_thread(self._encoder.encode, [text_of(_item_of(row)) for row in rows])
        entries = list(map(self._entry, rows, vectors))
        with write_errors("indexing"):
            async with self._pool.acquire() as connection:
                await connection.executemany(_PUT, [(*entry, True) for entry in entries])

    async def _put_bare(self, row: Any) -> None:
        """Put an item into the catalogue without its text, so that it is not indexed again."""

        async def put() -> None:
            with write_errors("indexing without a text"):
                await self._pool.execute(_PUT, *self._entry(row, None), False)

        try:
            await retry_until_available(put, _WAITS)
        except Exception as error:
            _LOG.error("%s is not in the catalogue: %s", row["item_id"], error)
            self._rejected_versions.add((row["item_id"], row["offset"]))

    async def rebuild_dictionary(self) -> None:
        """Rebuild the table of words and their item counts. It counts all items, so it runs at a limited rate."""
        began_s = time.monotonic()
        self._is_dictionary_stale = False
        with write_errors("counting words"):
            await self._pool.execute(_REBUILD_DICTIONARY)
        ended_s = time.monotonic()
        self._not_before_s = ended_s + _REST * (ended_s - began_s)

    def _entry(self, row: Any, vector: Vectors | None) -> tuple[Any, ...]:
        item_identity = identity(row["title"], year=row["attributes"].get("year", ""), city=row["city"])
        location = geo_location(row["cell"], row["city"])
        topics = " ".join(row["topics"])[:_TOPIC_CHARS]
        labels = " ".join(filter(None, (topics, row["brand"], row["category"])))
        weighted_texts = {"A": row["title"], "B": labels, "C": row["description"]}
        return (
            *(row["item_id"], row["category"], *item_identity, *(location.point or (None, None))),
            *(region(location.point) if location.point else None, location.is_exact),
            *(self._encoder.name, row["created_at"], row["appended_at"], row["offset"]),
            vector_text(vector.tolist()) if vector is not None and vector.any() else None,
            *map(segment.plain, weighted_texts.values()),
            segment.document((text, weight) for weight, text in weighted_texts.items()),
        )


def item_record(row: Any, codec: Codec[Item]) -> Message:
    """Return the record of an item, rebuilt from its row."""
    fields = {name: row[name] for name in Item.__struct_fields__} | {"created_at": epoch_ms(row["created_at"])}
    return Message(
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        timestamp=epoch_ms(row["appended_at"]),
        key=row["item_id"].encode(),
        value=codec.encode(Item(**fields)),
    )


async def _log(row: Any, error: Exception) -> None:
    _LOG.error("%s cannot be indexed: %s", row["item_id"], error)


def _item_of(row: Any) -> Item:
    fields = {name: row[name] for name in ("item_id", "category", "title", "description", "topics")}
    return Item(**fields, created_at=0)
