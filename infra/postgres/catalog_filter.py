"""Filtered listings of the catalog, and similar items: from PostgreSQL as written by the archive role, or memory.

Nothing is encoded or learned here: items are compared by the vectors that the archive role has stored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from infra.postgres.parameters import Parameters
from infra.postgres.pool import LazyPool
from infra.postgres.segment import any_word, spaced
from infra.postgres.similar_items import nearest_by_people, similarity
from schemas.types import Interaction, Item

_FIND = """
SELECT items.item_id FROM items LEFT JOIN catalogue USING (item_id)
WHERE starts_with(items.item_id, $1) AND NOT items.private
  AND ($2::text IS NULL OR lower(items.category) = lower($2))
  AND ($3::text IS NULL OR items.attributes ->> 'project_code' = $3)
  AND {word_condition}
ORDER BY items.created_at DESC, items.item_id LIMIT $4
"""
_OTHERS = "starts_with(item_id, $2) AND item_id <> $1 AND NOT private"
_TEXT_COSINE = "CASE WHEN catalogue.encoder = subject.encoder THEN 1 - (catalogue.embedding <=> text_vector) END"
_SIMILAR = f"""
WITH subject AS MATERIALIZED (
    SELECT catalogue.embedding AS text_vector, encoder, item_embeddings.embedding AS people_vector, event_count
    FROM items LEFT JOIN catalogue USING (item_id) LEFT JOIN item_embeddings USING (item_id) WHERE item_id = $1
), by_text AS (
    SELECT item_id FROM catalogue JOIN items USING (item_id)
    WHERE catalogue.encoder = (SELECT encoder FROM subject) AND catalogue.embedding IS NOT NULL
      AND (SELECT text_vector FROM subject) IS NOT NULL AND {_OTHERS}
    ORDER BY catalogue.embedding <=> (SELECT text_vector FROM subject) LIMIT $3
), by_people AS ({nearest_by_people(_OTHERS, "$3")}
), scores AS (
    SELECT item_id, {similarity(_TEXT_COSINE)} AS similarity
    FROM (SELECT item_id FROM by_text UNION SELECT item_id FROM by_people) AS candidates CROSS JOIN subject
    LEFT JOIN catalogue USING (item_id) LEFT JOIN item_embeddings USING (item_id)
)
SELECT item_id, similarity FROM scores WHERE similarity >= $4 ORDER BY similarity DESC, item_id LIMIT $3
"""  # noqa: S608 - values are bound
_CATEGORIES = """
SELECT category, count(*) AS times FROM interactions JOIN items USING (item_id)
WHERE user_id = $1 GROUP BY category ORDER BY times DESC, category LIMIT $2
"""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogFilter:
    """Criteria of a listing; omitted ones match everything."""

    prefix: str = ""
    """Prefix of the items' ids."""
    category: str | None = None
    project_code: str | None = None
    words: Sequence[str] = ()
    """Words of which the text must contain at least one."""

    def matches(self, item: Item) -> bool:
        """Say whether an item matches, by the category in any case; words are compared without stemming."""
        return (
            item.item_id.startswith(self.prefix)
            and (self.category is None or self.category.lower() == item.category.lower())
            and self.project_code in (None, item.attributes.get("project_code"))
            and (not self.words or self._is_worded(item))
        )

    def _is_worded(self, item: Item) -> bool:
        text = set(_WORD.findall(spaced(" ".join((item.title, item.description, *item.topics)))))
        return any((parts := set(_WORD.findall(spaced(word)))) and parts <= text for word in self.words)


class CatalogListing(Protocol):
    """Listings of the catalog. All methods raise `StoreError` if the database does not answer."""

    async def find(self, criteria: CatalogFilter, *, limit: int) -> list[str]:
        """Return the ids of the newest matching items."""
        ...

    async def similar(self, item_id: str, *, prefix: str, min_similarity: float, limit: int) -> list[tuple[str, float]]:
        """Return the items most similar to another with their similarity; none if the item is unknown.

        People's histories count where there are events on both items, and texts otherwise.

        Args:
            item_id: The item to compare with.
            prefix: Prefix of the ids to return.
            min_similarity: Minimum similarity, from 0 to 1.
            limit: Maximum number of items.
        """
        ...

    async def categories_of(self, user_id: str, limit: int) -> list[tuple[str, int]]:
        """Return the categories that a user interacted with most, with the number of interactions."""
        ...


class MemoryCatalogListing:
    """The catalog of one process; similarity is the Jaccard index of the items' topics."""

    def __init__(self, items: Sequence[Item] = (), interactions: Sequence[Interaction] = ()) -> None:
        self._items = {item.item_id: item for item in items}
        self._interactions = interactions

    async def find(self, criteria: CatalogFilter, *, limit: int) -> list[str]:
        """Return the ids of the newest matching items."""
        newest = sorted(self._items.values(), key=lambda item: (-item.created_at, item.item_id))
        return [item.item_id for item in newest if criteria.matches(item) and not item.private][:limit]

    async def similar(self, item_id: str, *, prefix: str, min_similarity: float, limit: int) -> list[tuple[str, float]]:
        """Return the items most similar to another."""
        topics = set(self._items[item_id].topics) if item_id in self._items else set()
        matches = []
        for item in self._items.values():
            both = topics | set(item.topics)
            share = len(topics & set(item.topics)) / len(both) if both else 0.0
            is_other = item.item_id != item_id and item.item_id.startswith(prefix) and not item.private
            if topics and is_other and share >= min_similarity:
                matches.append((item.item_id, share))
        return sorted(matches, key=lambda one: (-one[1], one[0]))[:limit]

    async def categories_of(self, user_id: str, limit: int) -> list[tuple[str, int]]:
        """Return the categories that a user interacted with most."""
        mine = (event.item_id for event in self._interactions if event.user_id == user_id)
        counts = Counter(self._items[item].category for item in mine if item in self._items)
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:limit]


class PostgresCatalogListing:
    """The catalog in PostgreSQL."""

    def __init__(self, connections: LazyPool) -> None:
        self._connections = connections

    async def find(self, criteria: CatalogFilter, *, limit: int) -> list[str]:
        """Return the ids of the newest matching items."""
        parameters = Parameters(criteria.prefix, criteria.category, criteria.project_code, limit)
        words = any_word(criteria.words, parameters.bind)
        word_condition = f"catalogue.document @@ {words}" if words else "false" if criteria.words else "true"
        async with self._connections.read_connection("listing items") as connection:
            rows = await connection.fetch(_FIND.format(word_condition=word_condition), *parameters.values)
        return [row["item_id"] for row in rows]

    async def similar(self, item_id: str, *, prefix: str, min_similarity: float, limit: int) -> list[tuple[str, float]]:
        """Return the items most similar to another."""
        async with self._connections.read_connection("looking for similar items") as connection:
            await connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            rows = await connection.fetch(_SIMILAR, item_id, prefix, limit, min_similarity)
        return [(row["item_id"], row["similarity"]) for row in rows]

    async def categories_of(self, user_id: str, limit: int) -> list[tuple[str, int]]:
        """Return the categories that a user interacted with most."""
        async with self._connections.read_connection("counting categories") as connection:
            rows = await connection.fetch(_CATEGORIES, user_id, limit)
        return [(row["category"], row["times"]) for row in rows]
