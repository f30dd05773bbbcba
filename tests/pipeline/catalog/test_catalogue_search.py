"""The catalogue's search on a real PostgreSQL: by text, by likeness, by distance, and how it follows the items."""

import random
from typing import Any, NamedTuple

import asyncpg
import h3
import pytest

from domain.nearby import UNKNOWN_LOCATION, GeoIndex, GeoLocation, geo_location
from infra.address import Addresses
from infra.postgres.distance import by_cells, by_postgis, distance_condition, region
from infra.postgres.hybrid_search import HybridQuery, HybridSearch
from models.text.subword import Subword
from models.text.tfidf import TextEncoder, Vectors
from schemas.types import Item
from streams.roles.archive import archive_role as archive
from streams.roles.archive.catalog_indexer import CatalogIndexer
from tests.build import LISBON, NEW_YORK, T0_MS, an_item
from topics.topic import ITEMS

NEWARK = h3.latlng_to_cell(40.7357, -74.1724, 9)


class Place(NamedTuple):
    timestamp: int = 0
    topic: str = ITEMS.name
    partition: int = 0
    offset: int = 0


@pytest.fixture
def catalogue(pool: asyncpg.Pool) -> HybridSearch:
    return HybridSearch(pool, encoder="subwords", radius_km=50.0, hides_out_of_stock=True)


async def put(pool: asyncpg.Pool, *items: Item, offset: int = 0) -> None:
    for item in items:
        await pool.execute(archive.upsert_items(), *archive.item_row(Place(offset=offset), item))
    assert await CatalogIndexer(pool, Subword()).step() == len(items)


async def found(catalogue: HybridSearch, *words: str, **query: Any) -> list[str]:
    vector = Subword().encode([" ".join(words)])[0].tolist() if words else None
    fields = {"category": "events", "words": words, "vector": vector, "limit": 3}
    return [match.item_id for match in await catalogue.search(HybridQuery(**(fields | query)))]


async def test_words_in_title_topics_or_description_are_found(pool: asyncpg.Pool, catalogue: HybridSearch) -> None:
    await put(
        pool,
        an_item("told", category="events", title="An Evening", description="Two hours of jazz.", topics=["live"]),
        an_item("named", category="events", title="Jazz Night", topics=["live"]),
        an_item("other", category="events", title="Half Marathon", topics=["running"]),
    )
    assert await found(catalogue, "jazz", vector=None) == ["named", "told", "other"]


async def test_a_word_of_many_parts_asks_for_all_of_them(pool: asyncpg.Pool, catalogue: HybridSearch) -> None:
    await put(
        pool,
        an_item("class", category="events", title="Cooking workshop", topics=[]),
        an_item("show", category="events", title="Cooking show", topics=[]),
    )
    assert (await found(catalogue, "cooking workshops", vector=None))[0] == "class"


async def test_misspelt_text_is_found_by_similarity(pool: asyncpg.Pool, catalogue: HybridSearch) -> None:
    await put(
        pool,
        an_item("like", category="events", title="Photowalk", topics=["photographers"]),
        an_item("unlike", category="events", title="Bread in a Day", topics=["bakery"]),
    )
    assert (await found(catalogue, "photography"))[0] == "like"


async def test_without_words_the_newest_are_found(pool: asyncpg.Pool, catalogue: HybridSearch) -> None:
    items = [an_item(f"i{n}", category="events", created_at=T0_MS + n) for n in range(5)]
    await put(pool, *items)
    assert await found(catalogue) == ["i4", "i3", "i2"]


@pytest.mark.parametrize("word", ['"', "'", "a & b | !c", ":*", "or", "-jazz", "\\", "%", "'); DROP TABLE items; --"])
async def test_no_word_is_an_operator(pool: asyncpg.Pool, catalogue: HybridSearch, word: str) -> None:
    await put(pool, an_item("i1", category="events"))
    assert await found(catalogue, word, "jazz") == ["i1"]


async def test_only_the_category_is_searched_and_known_items_are_left_out(
    pool: asyncpg.Pool, catalogue: HybridSearch
) -> None:
    await put(pool, *(an_item(item, category="events") for item in ("a", "b")), an_item("c", category="music"))
    assert await found(catalogue, "jazz", excluded_ids=["a"]) == ["b"]


PLACED = {
    "near": {"cell": NEWARK, "city": "Newark"},
    "contradicting": {"cell": LISBON, "city": "New York"},  # the cell counts
    "named": {"city": "new york"},
    "in-another-language": {"city": "Nueva York"},
    "elsewhere": {"city": "Lisbon"},
    "village": {"city": "Kleindorf"},
    "village-cell": {"cell": NEWARK, "city": "Kleindorf"},
    "anywhere": {},
}


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (geo_location(NEW_YORK, "New York"), {"near", "named", "in-another-language", "village-cell"}),
        (geo_location(NEW_YORK, None), {"near", "named", "in-another-language", "village-cell"}),
        (geo_location(NEW_YORK, "Lisbon"), {"near", "named", "in-another-language", "village-cell"}),
        (geo_location(None, "NYC"), {"near", "named", "in-another-language", "village-cell"}),
        (geo_location(None, "Lissabon"), {"contradicting", "elsewhere"}),
        (geo_location(LISBON, "Kleindorf"), {"contradicting", "elsewhere", "village"}),
        (geo_location(None, "KLEINDORF"), {"village", "village-cell"}),
        (geo_location(None, "Grossdorf"), set()),
        (geo_location(None, "Tokyo"), set()),
        (UNKNOWN_LOCATION, {"anywhere"}),
    ],
)
async def test_places_are_found_by_distance_and_by_city(
    pool: asyncpg.Pool, catalogue: HybridSearch, user: GeoLocation, expected: set[str]
) -> None:
    await put(pool, *(an_item(item_id, category="events", **where) for item_id, where in PLACED.items()))
    assert set(await found(catalogue, user=user, limit=9)) == expected
    places, ids = GeoIndex(), list(PLACED)
    for index, item_id in enumerate(ids):
        places.put(index, PLACED[item_id].get("cell"), PLACED[item_id].get("city"))
    far = {ids[index] for index in places.not_near(len(ids), user, radius_km=50.0).tolist()}
    assert user == UNKNOWN_LOCATION or set(ids) - far == expected | {"anywhere"}, "workers tell the same"


@pytest.mark.parametrize("radius_km", [1.0, 5.0, 10.0, 30.0, 500.0])
async def test_in_a_small_radius_a_city_is_as_large_as_it_is(pool: asyncpg.Pool, radius_km: float) -> None:
    def at(north_km: float) -> str:
        return str(h3.latlng_to_cell(52.52437 + north_km / 111.2, 13.41053, 9))

    items = {f"{km}-km": {"cell": at(km)} for km in (8, 15, 29, 60)} | {"city": {"city": "Berlin"}}
    await put(pool, *(an_item(item_id, category="events", **where) for item_id, where in items.items()))
    catalogue = HybridSearch(pool, encoder="subwords", radius_km=radius_km, hides_out_of_stock=True)
    for user in (
        geo_location(at(5), None),
        geo_location(at(20), None),
        geo_location(None, "Berlin"),
        geo_location(at(60), "Berlin"),
    ):
        places, ids = GeoIndex(), list(items)
        for index, item_id in enumerate(ids):
            places.put(index, items[item_id].get("cell"), items[item_id].get("city"))
        far = {ids[index] for index in places.not_near(len(ids), user, radius_km=radius_km).tolist()}
        assert set(await found(catalogue, user=user, limit=9)) == set(ids) - far


@pytest.mark.parametrize("hides_out_of_stock", [True, False])
async def test_what_is_private_or_sold_out_is_not_found_but_recognised(
    pool: asyncpg.Pool, *, hides_out_of_stock: bool
) -> None:
    await put(
        pool,
        an_item("mine", category="events", title="Jazz Night", private=True, created_at=1),
        an_item("ours", category="events", title="Jazz Night"),
        an_item("sold", category="events", stock=0),
        an_item("told", category="events", attributes={"availability": "out of stock"}),
    )
    catalogue = HybridSearch(pool, encoder="subwords", radius_km=50.0, hides_out_of_stock=hides_out_of_stock)
    assert set(await found(catalogue, limit=9)) == {"ours"} | (set() if hides_out_of_stock else {"sold", "told"})
    known_items = await catalogue.known("events", ["jazz night"])
    assert [one.item_id for one in known_items] == ["ours", "mine"], (
        "an item of the catalogue comes before a private one"
    )


async def test_a_changed_item_is_indexed_anew_and_a_deleted_one_found_no_more(
    pool: asyncpg.Pool, catalogue: HybridSearch
) -> None:
    await put(pool, an_item("i1", category="events", title="Jazz Night"))
    await put(pool, an_item("i1", category="events", title="Poetry Slam"), offset=1)
    [known_items] = await catalogue.known("events", ["poetry slam", "jazz night"])
    assert (known_items.item_id, known_items.title_key) == ("i1", "poetry slam")
    await pool.execute("DELETE FROM items")
    assert await found(catalogue, "poetry") == []


async def test_another_encoder_makes_the_vectors_anew(pool: asyncpg.Pool, catalogue: HybridSearch) -> None:
    class Other(TextEncoder):
        name = "other"

        def encode(self, texts: list[str]) -> Vectors:  # type: ignore[override]
            return Subword().encode(["poetry"] * len(texts))

    await put(pool, an_item("i1", category="events", title="Jazz Night"))
    assert await CatalogIndexer(pool, Other()).step() == 1
    assert await CatalogIndexer(pool, Other()).step() == 0
    assert await pool.fetchval("SELECT encoder FROM catalogue") == "other"


async def test_a_text_that_says_nothing_is_indexed_without_a_vector(
    pool: asyncpg.Pool, catalogue: HybridSearch
) -> None:
    await put(pool, an_item("i1", category="x", title="!", topics=[], cell="not a cell"))
    row = await pool.fetchrow("SELECT embedding, latitude, region FROM catalogue")
    assert tuple(row) == (None, None, None)


async def near(connection: Any, how: Any) -> set[int]:
    values: list[Any] = []

    def bind(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    rows = await connection.fetch(f"SELECT id FROM spots WHERE {how(bind, h3.cell_to_latlng(NEW_YORK), 50.0)}", *values)
    return {row["id"] for row in rows}


async def test_distances_are_the_same_with_and_without_postgis(stack: Addresses) -> None:
    connection = await asyncpg.connect(stack.database_url)
    try:
        rng, (latitude, longitude) = random.Random(7), h3.cell_to_latlng(NEW_YORK)
        points = [(n, latitude + rng.uniform(-1, 1), longitude + rng.uniform(-1, 1)) for n in range(2_000)]
        rows = [(*point, region(point[1:])) for point in points]
        await connection.execute(
            "CREATE TEMP TABLE spots (id int, latitude double precision, longitude double precision, region text)"
        )
        await connection.executemany("INSERT INTO spots VALUES ($1, $2, $3, $4)", rows)
        expected = {point[0] for point in points if h3.great_circle_distance((latitude, longitude), point[1:]) <= 50.0}
        assert await near(connection, by_cells) == expected
        assert 50 < len(expected) < 1_000
        if await distance_condition(connection) is by_cells:
            pytest.skip("there is no PostGIS here: distances are told by H3 cells alone")
        assert await near(connection, by_postgis) == expected
    finally:
        await connection.close()
