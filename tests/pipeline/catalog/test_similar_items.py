"""Similar items on a real PostgreSQL: by what people do where there is evidence, by their texts where there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import asyncpg
import numpy as np
import pytest

from infra.address import Addresses
from infra.postgres.catalog_filter import PostgresCatalogListing
from infra.postgres.pool import LazyPool
from infra.postgres.shop_archive import PostgresShopArchive
from models.text.subword import Subword
from schemas.types import Item
from streams.roles.archive import archive_role as archive
from streams.roles.archive import embedding_archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from tests.build import a_product, an_item
from tests.pipeline.catalog.test_catalogue_search import Place

MANY = 1_000
"""Events after which an embedding counts in full."""
ITEMS = [
    an_item("i1", title="Funny cats", topics=["funny"]),
    an_item("alike", title="Funny cats again", topics=["funny"]),
    an_item("new", title="Funny cats in town", topics=["funny"]),
    an_item("together", title="A run in the hills", topics=["running"]),
    an_item("hidden", title="Funny cats", topics=["funny"], private=True),
    an_item("post-1", title="Winter", topics=["snow"]),
    an_item("other", title="Bread", topics=["baking"]),
]
EMBEDDINGS = {"i1": 0.0, "together": 0.2, "post-1": 0.3, "alike": 1.5, "hidden": 0.0, "other": 2.0, "gone": 0.1}
"""Directions of embeddings, as angles in a plane."""


@pytest.fixture
async def connections(stack: Addresses) -> AsyncIterator[LazyPool]:
    connections = LazyPool(stack.database_url)
    pool = await connections.pool()
    for table in ("items CASCADE", "item_embeddings"):
        await pool.execute(f"TRUNCATE {table}")
    yield connections
    for table in ("items CASCADE", "item_embeddings"):
        await pool.execute(f"TRUNCATE {table}")
    await connections.close()


async def fill(pool: asyncpg.Pool, items: list[Item], angles: Mapping[str, float], counts: Mapping[str, int]) -> None:
    await pool.executemany(archive.upsert_items(), [archive.item_row(Place(), item) for item in items])
    await CatalogIndexer(pool, Subword()).step()
    rows = [
        (item, [*(3.0 * np.array([np.cos(angle), np.sin(angle)])), *[0.0] * 126], counts.get(item, MANY))
        for item, angle in angles.items()
    ]
    await pool.executemany(embedding_archive._PUT, rows)


async def similar(
    connections: LazyPool, item_id: str = "i1", *, least: float = 0.0, prefix: str = ""
) -> dict[str, float]:
    listing = PostgresCatalogListing(connections)
    matches = await listing.similar(item_id, prefix=prefix, min_similarity=least, limit=10)
    assert [score for _, score in matches] == sorted((score for _, score in matches), reverse=True)
    assert all(0.0 <= score <= 1.0 for _, score in matches)
    return dict(matches)


async def test_items_of_the_same_people_come_first_and_a_new_item_counts_by_its_text(connections: LazyPool) -> None:
    pool = await connections.pool()
    await fill(pool, ITEMS, {}, {})
    by_text = await similar(connections)
    assert list(by_text)[:2] == ["alike", "new"]
    await fill(pool, [], EMBEDDINGS, {})
    scores = await similar(connections, least=0.3)
    assert list(scores) == ["together", "post-1", "new"], "the text of one that other people like counts no more"
    assert scores["together"] == pytest.approx(np.cos(0.2), abs=0.02)
    assert scores["new"] == by_text["new"], "without events its similarity is that of its text"


async def test_little_evidence_counts_little(connections: LazyPool) -> None:
    pool = await connections.pool()
    await fill(pool, ITEMS, {}, {})
    by_text = await similar(connections)
    await fill(pool, [], EMBEDDINGS, {"together": 3, "alike": 1})
    scores = await similar(connections)
    assert scores["together"] == pytest.approx((np.cos(0.2) + by_text["together"]) / 2, abs=0.01), "three events: half"
    assert scores["alike"] > 0.7 * by_text["alike"], "one event says little"


async def test_an_item_without_a_text_or_without_events_is_found_by_what_it_has(connections: LazyPool) -> None:
    pool = await connections.pool()
    await fill(pool, ITEMS, EMBEDDINGS, {})
    await pool.execute("UPDATE catalogue SET embedding = NULL WHERE item_id IN ('i1', 'together')")
    assert list(await similar(connections, least=0.3)) == ["together", "post-1"]
    assert (await similar(connections, "new", least=0.3)).keys() == {"alike"}
    await pool.execute("UPDATE catalogue SET encoder = 'another' WHERE item_id = 'alike'")
    assert not await similar(connections, "new", least=0.3), "texts of another encoder cannot be compared"


async def test_private_and_removed_items_and_other_prefixes_stay_out(connections: LazyPool) -> None:
    pool = await connections.pool()
    await fill(pool, ITEMS, EMBEDDINGS, {})
    assert not {"hidden", "gone", "i1"} & (await similar(connections)).keys()
    assert (await similar(connections, prefix="post-")).keys() == {"post-1"}
    await pool.execute("DELETE FROM items WHERE item_id = 'together'")
    assert "together" not in await similar(connections)
    assert not await similar(connections, "gone"), "an item that is in no catalogue has none"


async def test_equal_scores_are_ordered_by_id(connections: LazyPool) -> None:
    names = [f"t{number}" for number in range(6)]
    items = [an_item(name, title="", topics=[], category="") for name in names]
    await fill(await connections.pool(), items, dict.fromkeys(reversed(names), 0.5), {})
    assert list(await similar(connections, "t3")) == ["t0", "t1", "t2", "t4", "t5"]


async def test_similar_products_are_those_of_the_same_people_then_those_of_similar_texts(connections: LazyPool) -> None:
    pool, shop = await connections.pool(), PostgresShopArchive(connections)
    names = ["P1", "P2", "P3", "P4"]
    await fill(pool, [*(a_product(name, f"Lamp {name}") for name in names), an_item("film")], {}, {})
    meanings = {"P1": 0.0, "P2": 0.4, "P3": 0.8}
    await pool.executemany(
        "INSERT INTO likeness (item_id, meaning, others, scores) VALUES ($1, $2::real[]::vector, $3, $4)",
        [
            (name, [float(np.cos(angle)), float(np.sin(angle)), *[0.0] * 126], others, [0.9] * len(others))
            for (name, angle), others in zip(meanings.items(), (["P2", "P3"], ["P1"], ["P1"]), strict=True)
        ],
    )
    assert await shop.similar("P1", 10) == ["P2", "P3"]
    await fill(pool, [], {"P1": 0.0, "P4": 0.1, "P2": 1.5, "film": 0.0}, {})
    assert await shop.similar("P1", 10) == ["P4", "P3", "P2"]
    assert await shop.similar("P1", 1) == ["P4"]
    assert await shop.similar("P4", 10) == ["P1"], "one that was not there at the last fit"
    assert await shop.similar("unknown", 10) == []
