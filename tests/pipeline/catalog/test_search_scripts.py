"""Searching text of any script in a real PostgreSQL, by all three ways in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from infra.address import Addresses
from infra.postgres.catalog_filter import CatalogFilter, PostgresCatalogListing
from infra.postgres.hybrid_search import HybridQuery, HybridSearch
from infra.postgres.pool import LazyPool
from infra.postgres.shop_search import ShopQuery
from models.text.subword import Subword
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from tests.build import a_shop_search, an_item
from topics.topic import ITEMS


class Place(NamedTuple):
    timestamp: int = 0
    topic: str = ITEMS.name
    partition: int = 0
    offset: int = 0


TITLES = {
    "bicycle": "赤い自転車の歌",
    "car": "青い自動車",
    "guide": "ｶﾞｲﾄﾞﾌﾞｯｸ 東京2020",
    "case": "iPhone用ケース",
    "bike-zh": "红色自行车",
    "run-th": "รองเท้าวิ่งสีแดง",
    "hat-th": "หมวกสีดำ",
    "seoul": "서울에서 만난 사람",
    "busan": "부산의 맛집",
    "cafe": "Café Crème",
    "nfd": "Re\u0301sume\u0301 Writing",
    "wide": "ＦＵＬＬ　ＷＩＤＴＨ",
    "street": "Lange Straße",
    "hyphen": "Donau\u00addampf",
    "persian": "می\u200cخواهم بنویسم",
    "hindi": "हिन्दी की किताब",
    "russian": "Ёлка в лесу",
    "emoji": "Family 👩\u200d👩\u200d👧 Picnic",
    "quote": "It's 'quoted' \\ & | ! :* <-> 本屋",
}
SHELF = [an_item(item_id, category="things", title=title, topics=[]) for item_id, title in TITLES.items()]
SHELF += [
    an_item("described", category="things", title="Poster", description="昔の自転車の広告です。", topics=[]),
    an_item("filed", category="things", title="Pump", topics=["自転車部品"]),
]


@pytest.fixture(scope="module")
async def connections(stack: Addresses) -> AsyncIterator[LazyPool]:
    connections = LazyPool(stack.database_url)
    pool = await connections.pool()
    await pool.execute("TRUNCATE items, shop_fits CASCADE")
    await pool.executemany(archive.upsert_items(), [archive.item_row(Place(), item) for item in SHELF])
    indexing = CatalogIndexer(pool, Subword())
    while await indexing.step():
        pass
    await indexing.rebuild_dictionary()
    yield connections
    await pool.execute("TRUNCATE items, shop_fits CASCADE")
    await connections.close()


QUERIES = [
    ("自転車", ["filed", "bicycle", "described"]),
    ("赤い自転車の歌", ["bicycle"]),
    ("転車", ["filed", "bicycle", "described"]),
    ("歌", ["bicycle"]),
    ("自動車", ["car"]),
    ("ガイド", ["guide"]),
    ("ｶﾞｲﾄﾞ", ["guide"]),
    ("東京", ["guide"]),
    ("2020", ["guide"]),
    ("ケース", ["case"]),
    ("iphone", ["case"]),
    ("自行车", ["bike-zh"]),
    ("วิ่ง", ["run-th"]),
    ("หมวก", ["hat-th"]),
    ("서울", ["seoul"]),
    ("사람", ["seoul"]),
    ("맛집", ["busan"]),
    ("cafe", ["cafe"]),
    ("CAFÉ", ["cafe"]),
    ("cafe\u0301 creme", ["cafe"]),
    ("resume", ["nfd"]),
    ("Résumé", ["nfd"]),
    ("full width", ["wide"]),
    ("ｆｕｌｌ", ["wide"]),
    ("strasse", ["street"]),
    ("STRAẞE", ["street"]),
    ("donaudampf", ["hyphen"]),
    ("میخواهم", ["persian"]),
    ("می\u200cخواهم", ["persian"]),
    ("किताब", ["hindi"]),
    ("हिन्दी", ["hindi"]),
    ("елка", ["russian"]),
    ("ЁЛКА", ["russian"]),
    ("picnic", ["emoji"]),
    ("本屋", ["quote"]),
    ("quoted", ["quote"]),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
async def test_parts_of_any_script_are_found(connections: LazyPool, query: str, expected: list[str]) -> None:
    found_matches = await a_shop_search(connections).find(ShopQuery(query=query, limit=50))
    assert found_matches.item_ids == expected
    found_ids = await PostgresCatalogListing(connections).find(CatalogFilter(words=[query]), limit=50)
    assert sorted(found_ids) == sorted(expected)
    catalogue = HybridSearch(await connections.pool(), encoder="subwords", radius_km=50.0, hides_out_of_stock=True)
    matches = await catalogue.search(HybridQuery(category="things", words=[query], limit=len(expected)))
    assert sorted(match.item_id for match in matches) == sorted(expected)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("赤い色の自転車", "bicycle"),
        ("红自行车色", "bike-zh"),
        ("서울에는", "seoul"),
        ("รองเท้าสีแดง", "run-th"),
        ("自転車 歌", "bicycle"),
        ("iphone ケース", "case"),
    ],
)
async def test_a_run_that_nothing_holds_is_found_by_what_most_of_it_is_in(
    connections: LazyPool, query: str, first: str
) -> None:
    matches = await a_shop_search(connections).find(ShopQuery(query=query, limit=50))
    assert matches.item_ids[0] == first


@pytest.mark.parametrize("query", ["北極", "龍", "ๆ", "뷁", "🦄", "\u200d", "\u00ad", "　", "'自'転':*"[:1]])
async def test_what_nothing_holds_finds_nothing(connections: LazyPool, query: str) -> None:
    assert (await a_shop_search(connections).find(ShopQuery(query=query))).item_ids == []
