"""Searching what the archive has made ready in a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
import pytest

from infra.address import Addresses
from infra.postgres.pool import LazyPool
from infra.postgres.shop_search import ShopQuery
from infra.redis.connection import StoreError
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.item_store import MemoryItemStore
from models.text.subword import Subword
from schemas.types import Item
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from streams.roles.shop import similarity_fit
from tests.build import a_product, a_shop_search, an_item
from tests.unit.api.builder import World
from topics.topic import ITEMS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Place(NamedTuple):
    timestamp: int = 0
    topic: str = ITEMS.name
    partition: int = 0
    offset: int = 0


SHELF = [
    *(a_product(f"PHONES000{n}", f"Wireless Headphones {n} with Mic", topics=["Headphones"]) for n in range(6)),
    a_product("EARPHONES1", "JBL Wired Earphones with Mic", topics=["Headphones"], price=900.0),
    *(a_product(f"SHOES0000{n}", f"Running Shoes for Men {n}", topics=["Sports Shoes"]) for n in range(5)),
    a_product("REDSHOES01", "Red Shoes", topics=["Sports Shoes"], category="shoes", rating=3.0),
    a_product("LAMP000001", "Desk Lamp of Brass", topics=["Lighting"], brand="Lumen", price=None, rating=None),
    an_item("concert", category="events", title="Wireless Night"),
]


async def put(pool: asyncpg.Pool, *items: Item) -> None:
    await pool.executemany(archive.upsert_items(), [archive.item_row(Place(), item) for item in items])
    indexing = CatalogIndexer(pool, Subword())
    assert await indexing.step() == len(items)
    await indexing.rebuild_dictionary()


@pytest.fixture(scope="module")
async def connections(stack: Addresses) -> AsyncIterator[LazyPool]:
    """A catalogue of a few things, made ready once."""
    connections = LazyPool(stack.database_url)
    pool = await connections.pool()
    await pool.execute("TRUNCATE items, shop_fits CASCADE")
    await put(pool, *SHELF)
    yield connections
    await pool.execute("TRUNCATE items, shop_fits CASCADE")
    await connections.close()


async def found(connections: LazyPool, query: str, **more: Any) -> list[str]:
    return (await a_shop_search(connections).find(ShopQuery(query=query, **more))).item_ids


async def test_what_has_all_the_words_comes_first(connections: LazyPool) -> None:
    assert (await found(connections, "red shoes"))[0] == "REDSHOES01"
    assert len(await found(connections, "red shoes")) == 6


async def test_words_of_the_brand_and_the_category_count_too(connections: LazyPool) -> None:
    assert await found(connections, "lumen") == ["LAMP000001"]
    assert await found(connections, "lighting") == ["LAMP000001"]


async def test_a_synonym_is_found_after_the_word_itself(connections: LazyPool) -> None:
    assert (await found(connections, "earphones"))[0] == "EARPHONES1"
    assert (await found(connections, "earbuds")) == ["EARPHONES1"]
    assert set(await found(connections, "headset")) >= {"PHONES0000", "PHONES0005"}


async def test_a_misspelt_word_is_put_right(connections: LazyPool) -> None:
    answer = await a_shop_search(connections).find(ShopQuery(query="hedphones", limit=3))
    assert answer.corrections == {"hedphones": "headphones"}
    assert (answer.total, len(answer.item_ids)) == (7, 3)
    assert not (await a_shop_search(connections).find(ShopQuery(query="headphones"))).corrections


async def test_a_word_misspelt_in_the_catalogue_itself_is_put_right_too(connections: LazyPool) -> None:
    pool = await connections.pool()
    try:
        await pool.execute("UPDATE words SET items = 90 WHERE word = 'wireless'")
        await pool.execute("UPDATE words SET word = 'wireles', stem = 'wirel' WHERE word = 'brass'")
        answer = await a_shop_search(connections).find(ShopQuery(query="wireles"))
        assert (answer.corrections, answer.total) == ({"wireles": "wireless"}, 7)
    finally:
        await CatalogIndexer(pool, Subword()).rebuild_dictionary()


async def test_pages_follow_each_other_and_filters_hold(connections: LazyPool) -> None:
    pages = [await found(connections, "wireless", kind="product", limit=2, offset=at) for at in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert len({item for page in pages for item in page}) == 6
    assert "concert" in await found(connections, "wireless")
    assert await found(connections, "mic", min_price=500.0) == ["EARPHONES1"]
    assert "EARPHONES1" not in await found(connections, "mic", max_price=500.0)
    assert await found(connections, "shoes", category="shoes") == ["REDSHOES01"]
    assert "REDSHOES01" not in await found(connections, "shoes", category="Sports Shoes", min_rating=3.5)
    assert await found(connections, "lamp", max_price=1e9) == [], "what has no price is in no price range"


@pytest.mark.parametrize(
    "query", ["", "!!", "the", "for a", "qwxzzyk", "'; DROP TABLE items; --", "a" * 255, "%", "\\"]
)
async def test_what_says_nothing_finds_nothing(connections: LazyPool, query: str) -> None:
    assert await found(connections, query) == []


async def test_what_is_alike_is_learned_once_and_searched_by(connections: LazyPool) -> None:
    pool = await connections.pool()
    assert await similarity_fit.is_due(pool, 86_400, NOW)
    await similarity_fit.fit(pool, NOW, features=10_000)
    assert not await similarity_fit.is_due(pool, 86_400, NOW)
    assert await pool.fetchval("SELECT count(*) FROM words WHERE meaning IS NOT NULL") > 10
    assert (await found(connections, "red shoes"))[0] == "REDSHOES01"
    similar = await pool.fetchrow("SELECT others, scores FROM likeness WHERE item_id = 'PHONES0000'")
    assert set(similar["others"][:5]) == {f"PHONES000{n}" for n in range(1, 6)}
    assert similar["scores"] == sorted(similar["scores"], reverse=True)


async def test_the_api_answers_with_items_or_with_what_trends(connections: LazyPool) -> None:
    items, charts = MemoryItemStore(), MemoryChartStore()
    await items.write(SHELF)
    await charts.write({"LAMP000001": 1.0}, {})
    world = World(
        items=items,
        clients={"search": a_shop_search(connections), "charts": charts},
    )
    async with world.http() as http:
        page = (await http.get("/search", params={"q": "hedphones", "kind": "product", "limit": 2})).json()
        nothing = (await http.get("/search", params={"q": "qwxzzyk"})).json()
        bad = [
            await http.get("/search", params=params)
            for params in ({"q": " "}, {"q": "a", "limit": 0}, {"q": "a" * 256}, {"q": "a", "kind": "\x00"})
        ]
    assert (page["total"], page["next_offset"], page["corrected"]) == (7, 2, {"hedphones": "headphones"})
    assert [item["kind"] for item in page["results"]] == ["product"] * 2
    assert (nothing["total"], nothing["fallback_reason"]) == (0, "no_search_matches")
    assert [item["item_id"] for item in nothing["results"]] == ["LAMP000001"]
    assert [(answer.status_code, answer.json()["error"]["field"]) for answer in bad] == [
        *((422, "q"), (422, "limit"), (422, "q"), (422, "kind"))
    ]


async def test_while_the_database_is_away_search_says_so() -> None:
    away = LazyPool("postgresql://postgres@127.0.0.1:1/none")
    with pytest.raises(StoreError):
        await found(away, "shoes")
    async with World(clients={"search": a_shop_search(away)}).http() as http:
        answer = await http.get("/search", params={"q": "shoes"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")


async def test_products_are_a_table_by_the_documents_names(connections: LazyPool) -> None:
    row = await (await connections.pool()).fetchrow("SELECT * FROM products WHERE id = 'EARPHONES1'")
    assert dict(row) == {
        **{"id": "EARPHONES1", "name": "JBL Wired Earphones with Mic", "main_category": "stores", "image": None},
        **{"sub_category": "Headphones", "link": None, "ratings": 4.0, "no_of_ratings": 100},
        **{"discount_price": 900.0, "actual_price": 500.0, "discount_ratio": -0.8},
    }


async def test_nothing_found_and_nothing_trending_is_not_found(connections: LazyPool) -> None:
    world = World(clients={"search": a_shop_search(connections)})
    async with world.http() as http:
        answer = await http.get("/recommendations/search", params={"query": "qwxzzyk"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_match")


@pytest.mark.parametrize(("limit", "number"), [(-1, 1), (3, 3), (None, 7), (10**9, 7)])
async def test_the_limit_of_a_shops_search_is_held_to_1_to_6000(
    connections: LazyPool, limit: int | None, number: int
) -> None:
    items = MemoryItemStore()
    await items.write(SHELF)
    params = {"query": " mic "} | ({} if limit is None else {"response_limit": limit})
    async with World(items=items, clients={"search": a_shop_search(connections)}).http() as http:
        answer = await http.get("/recommendations/search", params=params)
    assert len(answer.json()["results"]) == number
