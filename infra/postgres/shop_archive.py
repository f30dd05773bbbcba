"""Read model of a shop's history in PostgreSQL, written by the shop and archive roles."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol

from infra.postgres.pool import LazyPool

_MAX_DONE = 10_000
_SIMILAR = "SELECT others[:$2] AS others FROM likeness WHERE item_id = $1"
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
        """Return the products with the most similar texts, most similar first."""
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
        """Return the products with the most similar texts, most similar first."""
        async with self._connections.read_connection("reading similar items") as connection:
            return await connection.fetchval(_SIMILAR, item_id, limit) or []

    async def rules(self, item_id: str, limit: int) -> list[ShopRule]:
        """Return the products clicked by users who click on a product, highest confidence first."""
        async with self._connections.read_connection("reading rules") as connection:
            return [ShopRule(*row) for row in await connection.fetch(_RULES, item_id, limit)]

    async def events(self, user_id: str, since: datetime) -> list[ShopEvent]:
        """Return a user's clicks and searches since a time, newest first."""
        async with self._connections.read_connection("reading interactions") as connection:
            return [ShopEvent(*row) for row in await connection.fetch(_DONE, user_id, since)]
