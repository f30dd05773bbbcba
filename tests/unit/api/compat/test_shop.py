"""The shop recommender's endpoints as far as they need no database: bodies, limits and codes of its document."""

from datetime import datetime
from typing import Any

import pytest

from domain.timestamp import utc_time
from infra.postgres.shop_archive import MemoryShopArchive, ShopEvent
from infra.postgres.shop_search import MemoryShopSearch
from infra.redis.stores.shop_store import MemoryShopStore, StoredCharts, StoredHome
from schemas.limit import PRODUCT
from tests.build import a_product, an_item
from tests.unit.api.builder import NOW_MS, World
from topics.topic import INTERACTIONS

HOME, POST = "/recommendations/home", "/api/v1/interactions/interactions"
CLICK = {"user_id": "user123", "event_type": "product_click", "product_id": "ABCD1234XY"}
SEARCH = {"user_id": "user123", "event_type": "search_query", "query": "red shoes"}
IDS = [f"A{number:09}" for number in range(70)]


async def a_world(*, stale_at: int = NOW_MS + 1) -> World:
    """Return a shop of 70 products that user123 knows."""
    world, shop = World(), MemoryShopStore()
    await world.items.write([a_product(item_id) for item_id in IDS])
    charts = StoredCharts(
        trending=IDS[:60],
        best_value=IDS[60:],
        top_categories={"stores": IDS[:30], "empty": ["GONE000000"]},
        diverse=IDS[5:7],
    )
    await shop.write_charts(charts)
    await shop.write([StoredHome(user_id="user123", personalized=IDS[::-1][:60], diverse=IDS[8:10], stale_at=stale_at)])
    world.clients["shop_store"] = shop
    return world


async def got(world: World, path: str, **params: Any) -> tuple[int, Any]:
    async with world.http() as http:
        answer = await http.get(path, params=params or None)
    return answer.status_code, answer.json()


def ids(products: list[dict[str, Any]]) -> list[str]:
    return [product["id"] for product in products]


async def test_a_home_has_the_five_lists_of_twenty_products() -> None:
    status, home = await got(await a_world(), HOME, user_id="user123")
    assert (status, list(home)) == (
        200,
        ["personalized", "trending", "best_value", "top_categories", "diverse_picks"],
    )
    assert ids(home["personalized"]) == IDS[::-1][:20]
    assert ids(home["trending"]) == IDS[:20]
    assert ids(home["best_value"]) == IDS[60:]
    assert ids(home["diverse_picks"]) == IDS[8:10]
    assert {name: ids(products) for name, products in home["top_categories"].items()} == {
        "stores": IDS[:20],
        "empty": [],
    }


async def test_a_product_has_the_nine_keys() -> None:
    world = await a_world()
    image = {"image_url": "https://m/1.jpg", "price": 59.99, "original_price": 99.99, "rating": 4.5, "reviews": 1500}
    labels: dict[str, Any] = {"category": "Electronics", "topics": ["Audio", "Sale"]}
    bare: dict[str, Any] = {"topics": [], "price": None, "rating": None, "reviews": None}
    await world.items.write([a_product(IDS[0], "Wireless Headphones", **labels, **image), a_product(IDS[1], **bare)])
    _, home = await got(world, HOME, user_id="new", response_limit=2)
    assert home["trending"] == [
        {
            "id": IDS[0],
            "name": "Wireless Headphones",
            "category": "Electronics > Audio",
            "image": "https://m/1.jpg",
            "price": 59.99,
            "original_price": 99.99,
            "rating": 4.5,
            "reviews": 1500,
            "discount_ratio": 0.4,
        },
        {
            **{"id": IDS[1], "name": "Ear Plugs", "category": "stores", "image": None, "price": None},
            **{"original_price": 500.0, "rating": None, "reviews": None, "discount_ratio": None},
        },
    ]


@pytest.mark.parametrize(("user", "stale_at"), [("new", NOW_MS + 1), ("user123", NOW_MS)])
async def test_nothing_is_personal_for_who_is_new_or_was_away_for_too_long(user: str, stale_at: int) -> None:
    _, home = await got(await a_world(stale_at=stale_at), HOME, user_id=user)
    assert home["personalized"] == []
    assert ids(home["trending"]) == IDS[:20]
    assert ids(home["diverse_picks"]) == IDS[5:7]


@pytest.mark.parametrize(("limit", "number"), [(-5, 1), (0, 1), (1, 1), (60, 60), (61, 60), (10**12, 60)])
async def test_the_limit_of_a_home_is_held_to_1_to_60(limit: int, number: int) -> None:
    _, home = await got(await a_world(), HOME, user_id="user123", response_limit=limit)
    assert (len(home["personalized"]), len(home["trending"])) == (number, number)


@pytest.mark.parametrize("user", ["", "a" * 51, "user_1", "user 1", "é", "user123\n"])
async def test_a_user_id_of_other_than_1_to_50_letters_and_digits_is_a_bad_request(user: str) -> None:
    assert [
        (status, body["error"]["code"], body["error"]["field"])
        for status, body in [await got(await a_world(), HOME, user_id=user)]
    ] == [(400, "bad_value", "user_id")]


async def test_a_home_without_a_user_or_with_a_limit_that_is_no_number_is_refused() -> None:
    assert (await got(await a_world(), HOME))[0] == 400
    status, body = await got(await a_world(), HOME, user_id="a", response_limit="many")
    assert (status, body["error"]["code"], body["error"]["field"]) == (400, "bad_value", "response_limit")


INTERACTIONS_OF = "/api/v1/interactions/interactions/user123"
SIMILAR = "/recommendations/product/B08CF3D7Q0"


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *((HOME, "response_limit", value) for value in ("abc", "", "1.5", "1e999", "٣", "0x10", "a\0b", "1 2")),
        *((SIMILAR, "response_limit", value) for value in ("abc", "")),
        *((f"{SIMILAR}/rules", "response_limit", value) for value in ("abc", "NaN")),
        *(("/recommendations/search", "response_limit", value) for value in ("abc", "-")),
        *((INTERACTIONS_OF, "days", value) for value in ("0", "-1", "366", "abc", "", "1.5", "9" * 40)),
        ("/recommendations/search", "query", "a\0b"),
        (HOME, "user_id", "team/kim"),
    ],
)
async def test_what_is_invalid_in_an_address_is_a_bad_request(path: str, name: str, value: str) -> None:
    world = await a_world()
    await world.items.write([a_product("B08CF3D7Q0")])
    status, body = await got(world, path, **({"user_id": "a", "query": "ear"} | {name: value}))
    assert (status, body["error"]["code"], body["error"]["field"]) == (400, "bad_value", name)


@pytest.mark.parametrize("product", ["team%2FB08CF", "B08CF3D7Q0%2Frules", "%2E%2E", "B08CF3D7Q0%0A", "%00"])
async def test_a_product_id_with_anything_in_it_is_a_bad_request(product: str) -> None:
    status, body = await got(await a_world(), f"/recommendations/product/{product}")
    assert (status, body["error"]["field"]) == (400, "product_id")


@pytest.mark.parametrize("of", ["", "/rules"])
@pytest.mark.parametrize("product", ["b08cf3d7qr", "B08CF3D7Q", "B08CF3D7QRR", "B08CF3D7Q-"])
async def test_a_product_id_of_other_than_10_capitals_and_digits_is_a_bad_request(product: str, of: str) -> None:
    status, body = await got(await a_world(), f"/recommendations/product/{product}{of}")
    assert (status, body["error"]["field"]) == (400, "product_id")


async def test_an_unknown_product_is_not_found_and_what_is_no_product_neither() -> None:
    world = await a_world()
    await world.items.write([an_item("B08CF3D7QR")])
    for product in ("B08CF3D7QR", "B08CF3D7QX"):
        status, body = await got(world, f"/recommendations/product/{product}")
        assert (status, body["error"]["code"]) == (404, "unknown_product")


@pytest.mark.parametrize("query", [None, "", "  ", "a" * 256])
async def test_a_query_that_is_blank_or_too_long_is_a_bad_request(query: str | None) -> None:
    params = {} if query is None else {"query": query}
    status, body = await got(await a_world(), "/recommendations/search", **params)
    assert (status, body["error"]["field"]) == (400, "query")


@pytest.mark.parametrize("path", [POST, "/interactions"])
@pytest.mark.parametrize("body", [CLICK, SEARCH])
async def test_an_interaction_is_published_and_answered_with_nothing(path: str, body: dict[str, Any]) -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.post(path, json=body)
    assert (answer.status_code, answer.content) == (200, b"")
    [event] = world.publisher.values_of(INTERACTIONS)
    expected_event = ("click", "ABCD1234XY", None) if body is CLICK else ("search", None, "red shoes")
    assert (event.user_id, event.occurred_at) == ("user123", NOW_MS)
    assert (event.action, event.item_id, event.query) == expected_event


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (CLICK | {"product_id": None}, 400, "product_id"),
        ({"user_id": "user123", "event_type": "product_click", "query": "red"}, 400, "product_id"),
        (SEARCH | {"query": "  "}, 400, "query"),
        ({"user_id": "user123", "event_type": "search_query"}, 400, "query"),
        (CLICK | {"event_type": "purchase"}, 422, "event_type"),
        ({"user_id": "user123"}, 422, "event_type"),
        (CLICK | {"user_id": "user_123"}, 422, "user_id"),
        ({"event_type": "product_click", "product_id": "ABCD1234XY"}, 422, "user_id"),
        (CLICK | {"product_id": "abcd1234xy"}, 422, "product_id"),
        (CLICK | {"product_id": "ABCD1234XY\n"}, 422, "product_id"),
        (CLICK | {"product_id": 5}, 422, "product_id"),
        (SEARCH | {"query": "a" * 256}, 422, "query"),
    ],
)
async def test_what_an_event_lacks_is_400_and_what_breaks_its_schema_422(
    body: dict[str, Any], status: int, field: str
) -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.post(POST, json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert world.publisher.values_of(INTERACTIONS) == []


async def test_interactions_are_asked_for_by_user_and_days() -> None:
    for path, status in (("/user_1", 400), ("/user1?days=0", 400), ("/user1?days=many", 400), ("/user1", 200)):
        assert (await got(await a_world(), POST + path))[0] == status


class HistoryArchive(MemoryShopArchive):
    async def events(self, user_id: str, since: datetime) -> list[ShopEvent]:
        at = utc_time(NOW_MS)
        items = (IDS[0], "concert", "GONE000000", "gone-concert")
        clicks = [ShopEvent("click", item_id, None, at) for item_id in items]
        return [*clicks, ShopEvent("search", None, "shoes", at)]


async def test_interactions_are_those_with_products() -> None:
    world = await a_world()
    await world.items.write([an_item("concert", title="Ear Opera")])
    world.clients["shop_archive"] = HistoryArchive()
    status, body = await got(world, INTERACTIONS_OF)
    assert status == 200
    products = [entry.get("product_id") for entry in body["interactions"]]
    assert products == [IDS[0], "GONE000000", None], "a product may have left the catalogue; concerts are none"


async def test_a_search_answers_with_products_or_with_what_trends_and_says_so() -> None:
    world = await a_world()
    world.clients["search"] = MemoryShopSearch([a_product(IDS[3]), an_item("concert", title="Ear Opera")])
    path = "/recommendations/search"
    status, result = await got(world, path, query=" ear ")
    assert (status, ids(result["results"]), "fallback_reason" in result) == (200, IDS[3:4], False)
    status, nothing = await got(world, path, query="shoes", response_limit=2)
    assert (status, ids(nothing["results"]), nothing["fallback_reason"]) == (200, IDS[:2], "no_search_matches")
    status, empty = await got(World(), path, query="shoes")
    assert (status, empty["error"]["code"]) == (404, "no_match")


def test_what_a_shop_sells_is_a_product() -> None:
    assert a_product().kind == PRODUCT
