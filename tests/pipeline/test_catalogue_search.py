"""The catalogue's search on a real PostgreSQL: by text, by likeness, by distance, and how it follows the items."""

import random
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import h3
import pytest

from infra import database
from infra.address import Addresses
from infra.catalogue import Catalogue, Query, by_cells, by_postgis, distance_by, region
from models.subword import Subword
from models.text import TextEncoder, Vectors
from schemas.types import Item
from streams.jobs import archive
from streams.jobs.indexing import Indexing
from tests.build import LISBON, NEW_YORK, T0_MS, an_item
from topics.topic import ITEMS

NEWARK = h3.latlng_to_cell(40.7357, -74.1724, 9)


class Place(NamedTuple):
    timestamp: int = 0
    topic: str = ITEMS.name
    partition: int = 0
    offset: int = 0


@pytest.fixture
async def pool(stack: Addresses) -> AsyncIterator[asyncpg.Pool]:
    pool = await database.connect(stack.database_url)
    await pool.execute("TRUNCATE items CASCADE")
    yield pool
    await pool.execute("TRUNCATE items CASCADE")
    await pool.close()


@pytest.fixture
def catalogue(pool: asyncpg.Pool) -> Catalogue:
    return Catalogue(pool, encoder="subwords", radius_km=50.0)


async def put(pool: asyncpg.Pool, *items: Item, offset: int = 0) -> None:
    for item in items:
        await pool.execute(archive.upsert_items(), *archive.item_row(Place(offset=offset), item))
    assert await Indexing(pool, Subword()).step() == len(items)


async def found(catalogue: Catalogue, *words: str, **query: Any) -> list[str]:
    vector = Subword().encode([" ".join(words)])[0].tolist() if words else None
    given = {"category": "events", "words": words, "vector": vector, "limit": 3}
    return [match.item_id for match in await catalogue.search(Query(**(given | query)))]


async def test_words_in_title_topics_or_description_are_found(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    await put(
        pool,
        an_item("told", category="events", title="An Evening", description="Two hours of jazz.", topics=["live"]),
        an_item("named", category="events", title="Jazz Night", topics=["live"]),
        an_item("other", category="events", title="Half Marathon", topics=["running"]),
    )
    assert await found(catalogue, "jazz", vector=None) == ["named", "told", "other"]


async def test_a_word_of_many_parts_asks_for_all_of_them(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    await put(
        pool,
        an_item("class", category="events", title="Cooking workshop", topics=[]),
        an_item("show", category="events", title="Cooking show", topics=[]),
    )
    assert (await found(catalogue, "cooking workshops", vector=None))[0] == "class"


async def test_what_is_written_otherwise_is_found_by_likeness(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    await put(
        pool,
        an_item("like", category="events", title="Photowalk", topics=["photographers"]),
        an_item("unlike", category="events", title="Bread in a Day", topics=["bakery"]),
    )
    assert (await found(catalogue, "photography"))[0] == "like"


async def test_without_words_the_newest_are_found(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    items = [an_item(f"i{n}", category="events", created_at=T0_MS + n) for n in range(5)]
    await put(pool, *items)
    assert await found(catalogue) == ["i4", "i3", "i2"]


@pytest.mark.parametrize("word", ['"', "'", "a & b | !c", ":*", "or", "-jazz", "\\", "%", "'); DROP TABLE items; --"])
async def test_no_word_is_an_operator(pool: asyncpg.Pool, catalogue: Catalogue, word: str) -> None:
    await put(pool, an_item("i1", category="events"))
    assert await found(catalogue, word, "jazz") == ["i1"]


async def test_only_the_category_is_searched_and_known_items_are_left_out(
    pool: asyncpg.Pool, catalogue: Catalogue
) -> None:
    await put(pool, *(an_item(item, category="events") for item in ("a", "b")), an_item("c", category="music"))
    assert await found(catalogue, "jazz", known=["a"]) == ["b"]


async def test_places_are_found_by_distance_and_by_city(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    await put(
        pool,
        an_item("near", category="events", cell=NEWARK, city="Newark"),
        an_item("far", category="events", cell=LISBON, city="New York"),
        an_item("named", category="events", city="new york"),
        an_item("elsewhere", category="events", city="Lisbon"),
        an_item("anywhere", category="events"),
    )
    query = {"limit": 9}
    assert await found(catalogue, cell=NEW_YORK, city_key="new york", **query) == ["named", "near"]
    assert await found(catalogue, cell=NEW_YORK, **query) == ["near"]
    assert await found(catalogue, city_key="new york", **query) == ["far", "named"]
    assert await found(catalogue, **query) == ["anywhere"]


async def test_a_changed_item_is_indexed_anew_and_a_deleted_one_found_no_more(
    pool: asyncpg.Pool, catalogue: Catalogue
) -> None:
    await put(pool, an_item("i1", category="events", title="Jazz Night"))
    await put(pool, an_item("i1", category="events", title="Poetry Slam"), offset=1)
    [known] = await catalogue.known("events", ["poetry slam", "jazz night"])
    assert (known.item_id, known.title_key) == ("i1", "poetry slam")
    await pool.execute("DELETE FROM items")
    assert await found(catalogue, "poetry") == []


async def test_another_encoder_makes_the_vectors_anew(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    class Other(TextEncoder):
        name = "other"

        def encode(self, texts: list[str]) -> Vectors:  # type: ignore[override]
            return Subword().encode(["poetry"] * len(texts))

    await put(pool, an_item("i1", category="events", title="Jazz Night"))
    assert await Indexing(pool, Other()).step() == 1
    assert await Indexing(pool, Other()).step() == 0
    assert await pool.fetchval("SELECT encoder FROM catalogue") == "other"


async def test_a_text_that_says_nothing_is_indexed_without_a_vector(pool: asyncpg.Pool, catalogue: Catalogue) -> None:
    await put(pool, an_item("i1", category="x", title="!", topics=[], cell="not a cell"))
    row = await pool.fetchrow("SELECT embedding, latitude, region FROM catalogue")
    assert tuple(row) == (None, None, None)


async def near(connection: Any, how: Any) -> set[int]:
    values: list[Any] = []

    def bind(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    rows = await connection.fetch(f"SELECT id FROM spots WHERE {how(bind, NEW_YORK, 50.0)}", *values)
    return {row["id"] for row in rows}


async def test_distances_are_told_the_same_with_postgis_and_without(stack: Addresses) -> None:
    connection = await asyncpg.connect(stack.database_url)
    try:
        rng, (latitude, longitude) = random.Random(7), h3.cell_to_latlng(NEW_YORK)
        spots = [(n, latitude + rng.uniform(-1, 1), longitude + rng.uniform(-1, 1)) for n in range(2_000)]
        rows = [(*spot, region(h3.latlng_to_cell(spot[1], spot[2], 9))) for spot in spots]
        await connection.execute(
            "CREATE TEMP TABLE spots (id int, latitude double precision, longitude double precision, region text)"
        )
        await connection.executemany("INSERT INTO spots VALUES ($1, $2, $3, $4)", rows)
        expected = {
            spot[0] for spot in spots if h3.great_circle_distance((latitude, longitude), (spot[1], spot[2])) <= 50.0
        }
        assert await near(connection, by_cells) == expected
        assert 50 < len(expected) < 1_000
        if await distance_by(connection) is by_cells:
            pytest.skip("there is no PostGIS here: distances are told by H3 cells alone")
        assert await near(connection, by_postgis) == expected
    finally:
        await connection.close()
