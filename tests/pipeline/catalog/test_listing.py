"""One suite for every listing of the catalogue: what holds in memory holds in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from infra.address import Addresses
from infra.postgres.catalog_filter import CatalogFilter, CatalogListing, MemoryCatalogListing, PostgresCatalogListing
from infra.postgres.pool import LazyPool
from infra.redis.connection import StoreError
from models.text.subword import Subword
from schemas.types import Item
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from tests.build import T0_MS, an_interaction, an_item
from tests.pipeline.catalog.test_catalogue_search import Place

ITEMS = [
    an_item("post-1", category="Comedy", title="Funny cats", topics=["funny"], created_at=T0_MS + 1),
    an_item("post-2", category="Sport", title="A run in the hills", topics=["running"], created_at=T0_MS + 2),
    an_item("post-3", category="Comedy", title="Funny cats again", topics=["funny"], attributes={"project_code": "p"}),
    an_item("i1", category="Comedy", title="Funny cats in town", topics=["funny"], created_at=T0_MS + 9),
]
EVENTS = [
    *(an_interaction(event_id=f"a{n}", item_id=f"post-{n}") for n in (1, 2, 3)),
    an_interaction(event_id="b1", item_id="nowhere"),
    an_interaction(event_id="c1", user_id="u2", item_id="post-2"),
]


@pytest.fixture
async def connections(stack: Addresses) -> AsyncIterator[LazyPool]:
    connections = LazyPool(stack.database_url)
    pool = await connections.pool()
    await fill(pool, ITEMS)
    yield connections
    await pool.execute("TRUNCATE items CASCADE")
    await pool.execute("TRUNCATE interactions")
    await connections.close()


async def fill(pool: asyncpg.Pool, items: list[Item]) -> None:
    await pool.execute("TRUNCATE items CASCADE")
    await pool.execute("TRUNCATE interactions")
    await pool.executemany(archive.upsert_items(), [archive.item_row(Place(), item) for item in items])
    rows = [archive.interaction_row(Place(offset=place), event) for place, event in enumerate(EVENTS)]
    await pool.executemany(archive.insert_interactions(), rows)
    await CatalogIndexer(pool, Subword()).step()


@pytest.fixture(params=("memory", "postgres"))
def listing(request: pytest.FixtureRequest, connections: LazyPool) -> CatalogListing:
    return MemoryCatalogListing(ITEMS, EVENTS) if request.param == "memory" else PostgresCatalogListing(connections)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"prefix": "post-"}, ["post-2", "post-1", "post-3"]),
        ({}, ["i1", "post-2", "post-1", "post-3"]),
        ({"category": "Comedy", "prefix": "post-"}, ["post-1", "post-3"]),
        ({"project_code": "p"}, ["post-3"]),
        ({"words": ["running", "swimming"]}, ["post-2"]),
        ({"words": ["cats"], "prefix": "post-"}, ["post-1", "post-3"]),
        ({"words": ["'; DROP TABLE items; --"]}, []),
    ],
)
async def test_what_is_looked_for_is_found_newest_first(
    listing: CatalogListing, fields: dict[str, Any], expected: list[str]
) -> None:
    assert await listing.find(CatalogFilter(**fields), limit=10) == expected
    assert await listing.find(CatalogFilter(**fields), limit=1) == expected[:1]


async def test_the_most_alike_come_first_and_the_rest_is_left_out(listing: CatalogListing) -> None:
    matches = await listing.similar("post-1", prefix="post-", min_similarity=0.3, limit=10)
    assert [item for item, _ in matches] == ["post-3"]
    assert 0.3 <= matches[0][1] <= 1
    assert len(await listing.similar("post-1", prefix="", min_similarity=0.3, limit=10)) == 2
    assert await listing.similar("nowhere", prefix="", min_similarity=0.0, limit=10) == []


async def test_categories_are_counted_by_user(listing: CatalogListing) -> None:
    assert await listing.categories_of("u1", 5) == [("Comedy", 2), ("Sport", 1)]
    assert await listing.categories_of("u1", 1) == [("Comedy", 2)]
    assert await listing.categories_of("nobody", 5) == []


async def test_an_away_database_is_a_store_error() -> None:
    away = LazyPool("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreError):
        await PostgresCatalogListing(away).find(CatalogFilter(), limit=1)
