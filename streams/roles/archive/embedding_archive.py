"""Embedding archive: item embeddings → PostgreSQL, for the search of similar items.

Embeddings change with every event, and an index entry takes PostgreSQL some 3 ms. So a row is written again only when
its embedding has moved a part of its length or has more evidence, and at a limited rate; meanwhile newer records
replace older ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import numpy as np
from aiokafka import ConsumerRecord

from infra.postgres.pool import write_errors
from models.factorization.item_embeddings import Vector, has_moved
from streams.core.item.embedding_record import stored_vector
from streams.runtime.retry import retry_until_available
from streams.runtime.role import Role
from topics.topic import ITEM_EMBEDDINGS

_CHUNK = 200
_ROWS_PER_S = 100
"""Rows written per second, at most: a third of a core of PostgreSQL."""
_MORE_EVENTS = 1.25
"""Growth of the number of events from which on a row is written again."""
_WAITS = "the archive of embeddings waits for PostgreSQL"

_LENGTH = """
SELECT atttypmod FROM pg_attribute WHERE attrelid = 'item_embeddings'::regclass AND attname = 'embedding'
"""
_UNMARK = "DELETE FROM projected WHERE starts_with(name, $1)"
_STORED = "SELECT item_id, embedding::real[] AS vector, event_count FROM item_embeddings WHERE item_id = ANY($1)"
_PUT = """
INSERT INTO item_embeddings (item_id, embedding, event_count) VALUES ($1, $2::real[]::halfvec, $3)
ON CONFLICT (item_id) DO UPDATE SET embedding = excluded.embedding, event_count = excluded.event_count
"""
_FORGET = "DELETE FROM item_embeddings WHERE item_id = $1"

EmbeddingEntry = tuple[ConsumerRecord, tuple[Vector, int] | None]
"""A record with the embedding and the number of its events; None for a deletion."""


class EmbeddingArchive:
    """Writes batches of item embeddings."""

    def __init__(self, role: Role, pool: asyncpg.Pool) -> None:
        """Create the archive.

        Args:
            role: The running role.
            pool: Connections to PostgreSQL.
        """
        self._pool, self._dead_letters = pool, role.dead_letters
        self._dimensions = role.settings.embedding_dim
        self._decoder = role.decoder(ITEM_EMBEDDINGS)
        self.written_count = 0
        """Rows written since the start."""

    async def write(self, _topic: str, records: Sequence[ConsumerRecord]) -> None:
        """Write a batch; wait for as long as PostgreSQL is unavailable.

        Raises:
            PublishError: a dead letter was not written.
        """
        await retry_until_available(self._prepare, _WAITS)
        newest_records = list({record.key: record for record in records if record.key}.values())
        entries: list[EmbeddingEntry] = [(record, None) for record in newest_records if record.value is None]
        for record, value in await self._decoder.decode(one for one in newest_records if one.value is not None):
            vector = stored_vector(value, self._dimensions)
            if vector is not None:
                entries.append((record, (vector, value.event_count) if vector.any() else None))
        for start in range(0, len(entries), _CHUNK):
            before, chunk = self.written_count, entries[start : start + _CHUNK]
            await self._dead_letters.write(chunk, self._put, stage="archive.embeddings", log_message=_WAITS)
            await asyncio.sleep((self.written_count - before) / _ROWS_PER_S)

    async def _prepare(self) -> None:
        """Empty the table if it has embeddings of another length; then its topic is read again."""
        with write_errors("preparing the table of embeddings"):
            async with self._pool.acquire() as connection, connection.transaction():
                if await connection.fetchval(_LENGTH) == self._dimensions:
                    return
                await connection.execute("TRUNCATE item_embeddings")
                await connection.execute(
                    f"ALTER TABLE item_embeddings ALTER COLUMN embedding TYPE halfvec({self._dimensions:d})"
                )
                await connection.execute(_UNMARK, f"{ITEM_EMBEDDINGS.name}-")

    async def _put(self, entries: Sequence[EmbeddingEntry]) -> None:
        changes = {_key(record): change for record, change in entries if change is not None}
        deletions = [(_key(record),) for record, change in entries if change is None]
        with write_errors("archiving embeddings"):
            async with self._pool.acquire() as connection:
                stored_rows = {row["item_id"]: row for row in await connection.fetch(_STORED, list(changes))}
                rows = _stale_rows(changes, stored_rows) if changes else []
                await connection.executemany(_FORGET, deletions)
                await connection.executemany(_PUT, rows)
        self.written_count += len(rows)


def _stale_rows(changes: dict[str, tuple[Vector, int]], stored_rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows to write: of new items, and of those whose embedding or evidence has changed enough."""
    vectors = np.array([vector for vector, _ in changes.values()], np.float32)
    event_counts = np.array([event_count for _, event_count in changes.values()])
    former_rows = [stored_rows.get(item_id) for item_id in changes]
    former_vectors = np.array([[0.0] * len(vectors[0]) if row is None else row["vector"] for row in former_rows])
    former_counts = np.array([-1 if row is None else row["event_count"] for row in former_rows])
    is_stale = (event_counts > _MORE_EVENTS * former_counts) | has_moved(vectors, former_vectors)
    return [
        (item_id, vector.tolist(), event_count)
        for (item_id, (vector, event_count)), stale in zip(changes.items(), is_stale.tolist(), strict=True)
        if stale
    ]


def _key(record: ConsumerRecord) -> str:
    return (record.key or b"").decode(errors="replace")
