"""Read model of a shop's history in PostgreSQL, written by the shop and archive roles."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from infra.postgres.pool import LazyPool
from infra.postgres.similar_items import nearest_by_people, similarity
from schemas.limit import PRODUCT

_MAX_DONE = 10_000
_LEAST = 0.3
"""Similarity that a product needs if only its embedding is near."""
_SIMILAR = f"""
WITH subject AS MATERIALIZED (
    SELECT meaning AS text_vector, others, item_embeddings.embedding AS people_vector, event_count
    FROM items LEFT JOIN likeness USING (item_id) LEFT JOIN item_embeddings USING (item_id) WHERE item_id = $1
), by_text AS (SELECT unnest(others[:$2]) AS item_id FROM subject
), by_people AS ({nearest_by_people("left(kind, 256) = $3 AND item_id <> $1 AND NOT private", "$2")}
), scores AS (
    SELECT item_id, {similarity("1 - (meaning <=> text_vector)")} AS similarity,
           item_id IN (SELECT item_id FROM by_text) AS is_near_by_text
    FROM (SELECT item_id FROM by_text UNION SELECT item_id FROM by_people) AS candidates CROSS JOIN subject
    LEFT JOIN likeness USING (item_id) LEFT JOIN item_embeddings USING (item_id)
)
SELECT item_id FROM scores WHERE is_near_by_text OR similarity >= {_LEAST}
ORDER BY similarity DESC, item_id LIMIT $2
"""  # noqa: S608 - values are bound
_RULES = """
SELECT other, support, confidence, lift FROM association_rules WHERE item_id = $1
ORDER BY confidence DESC, lift DESC, other LIMIT $2
"""
_DONE = f"""
SELECT action, item_id, query, occurred_at FROM interactions
WHERE user_id = $1 AND occurred_at > $2 AND action IN ('click', 'search')
ORDER BY occurred_at DESC, event_id LIMIT {_MAX_DONE}
"""  # noqa: S608 - the number is ours


class ShopRule(NamedTuple):
    """An association rule: a product that is clicked together with another, and its measures."""

    other: str
    support: float
    confidence: float
    lift: float


class ShopEvent(NamedTuple):
    """One click or search of a user."""

    action: str
    item_id: str | None
    query: str | None
    at: datetime


class ShopArchive(Protocol):
    """Similar products, association rules and history. All methods raise `StoreError` if the store does not answer."""

    async def similar(self, item_id: str, limit: int) -> list[str]:
        """Return the most similar products by what people do with them and by their texts, most similar first."""
        ...

    async def rules(self, item_id: str, limit: int) -> list[ShopRule]:
        """Return the products clicked by users who click on a product, highest confidence first."""
        ...

    async def events(self, user_id: str, since: datetime) -> list[ShopEvent]:
        """Return a user's clicks and searches since a time, newest first."""
        ...


class MemoryShopArchive:
    """An empty archive in memory."""

    async def similar(self, item_id: str, limit: int) -> list[str]:
        """Return nothing."""
        return []

    async def rules(self, item_id: str, limit: int) -> list[ShopRule]:
        """Return nothing."""
        return []

    async def events(self, user_id: str, since: datetime) -> list[ShopEvent]:
        """Return nothing."""
        return []


class PostgresShopArchive:
    """The archive in PostgreSQL."""

    def __init__(self, connections: LazyPool) -> None:
        self._connections = connections

    async def similar(self, item_id: str, limit: int) -> list[str]:
        """Return the most similar products, most similar first."""
        async with self._connections.read_connection("reading similar items") as connection:
            await connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            return [row["item_id"] for row in await connection.fetch(_SIMILAR, item_id, limit, PRODUCT)]

    async def rules(self, item_id: str, limit: int) -> list[ShopRule]:
        """Return the products clicked by users who click on a product, highest confidence first."""
        async with self._connections.read_connection("reading rules") as connection:
            return [ShopRule(*row) for row in await connection.fetch(_RULES, item_id, limit)]

    async def events(self, user_id: str, since: datetime) -> list[ShopEvent]:
        """Return a user's clicks and searches since a time, newest first."""
        async with self._connections.read_connection("reading interactions") as connection:
            return [ShopEvent(*row) for row in await connection.fetch(_DONE, user_id, since)]
