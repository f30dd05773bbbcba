"""What may be shown to whom, at every endpoint that lists items: nothing gone, private, sold out or far away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.endpoints.visibility import VisibilityRules
from domain.nearby import UNKNOWN_LOCATION, geo_location
from infra.postgres.catalog_filter import MemoryCatalogListing
from infra.postgres.shop_archive import ShopEvent, ShopRule
from infra.postgres.shop_search import MemoryShopSearch
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.shop_store import MemoryShopStore, StoredCharts, StoredHome
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from schemas.types import Item
from tests.build import a_feed, a_product, a_profile, an_item, features
from tests.unit.api.builder import NOW_MS, World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer

LISBON, TOKYO = {"city": "Lisboa", "cell": "89393362b27ffff"}, {"city": "Tokyo"}
PLAIN, NEAR, FAR, PRIVATE, SOLD_OUT, GONE, ASKED = (
    *("post-1", "post-2", "post-3", "post-4", "post-5", "post-6", "post-7"),
)
KINDS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    NEAR: LISBON,
    FAR: TOKYO,
    PRIVATE: {"private": True},
    SOLD_OUT: {"stock": 0},
    GONE: {},
    ASKED: {},
}
ITEMS = [an_item(item_id, title="Jazz", **about) for item_id, about in KINDS.items()]
PRODUCTS = {f"A00000000{item_id[-1]}": about for item_id, about in KINDS.items()}
LISTED = [FAR, SOLD_OUT, PRIVATE, GONE, NEAR, PLAIN]
"""In the order that a list has which is made for everybody."""


class Archive:
    """What goes with a product: all others."""

    async def similar(self, item_id: str, limit: int) -> list[str]:
        return [f"A00000000{item_id[-1]}" for item_id in LISTED][:limit]

    async def rules(self, item_id: str, limit: int) -> list[ShopRule]:
        return [ShopRule(other, 0.1, 0.2, 1.3) for other in await self.similar(item_id, limit)]

    async def done(self, user_id: str, since: datetime) -> list[ShopEvent]:
        return []


async def a_world() -> World:
    """Return a world in which everything is named everywhere; ann is in Lisbon, and nobody knows where bob is."""
    world, portraits, charts, shop = World(), MemoryUserProfileStore(), MemoryChartStore(), MemoryShopStore()
    products = [a_product(item_id, "Jazz", **about) for item_id, about in PRODUCTS.items()]
    visible_ids = [f"A00000000{item_id[-1]}" for item_id in LISTED]
    await world.items.write([*ITEMS, *products])
    await world.items.delete([GONE, f"A00000000{GONE[-1]}"])
    await portraits.write_stated([a_profile(user_id="ann", city="Lisbon")])
    await portraits.write_inferred([features(user_id=user, event_count=9) for user in USERS])
    await charts.write({item_id: -float(rank) for rank, item_id in enumerate(LISTED)}, {})
    await shop.write(
        [StoredHome(user_id=user, personalized=visible_ids, diverse=visible_ids, stale_at=NOW_MS + 1) for user in USERS]
    )
    every = StoredCharts(
        trending=visible_ids, best_value=visible_ids, top_categories={"music": visible_ids}, diverse=visible_ids
    )
    await shop.write_charts(every)
    for user in USERS:
        await world.feeds.write([own_feed(user)])
    world.clients |= {
        **{"user_profiles": portraits, "charts": charts, "shop_store": shop, "shop_archive": Archive()},
        **{"catalog_listing": MemoryCatalogListing(ITEMS), "search": MemoryShopSearch([*ITEMS, *products])},
    }
    return world


def own_feed(user: str) -> Any:
    """Return a feed as a worker has ranked it: what was fetched for the user is in it, and nothing far away."""
    items = [SOLD_OUT, PRIVATE, GONE, NEAR, PLAIN]
    columns: dict[str, Any] = {"sources": ["popular"] * 5, "reasons": ["Popular"] * 5, "parts": {"popular": [0.5] * 5}}
    return a_feed(user_id=user, items=items, scores=[0.5, 0.4, 0.3, 0.2, 0.1], **columns)


USERS = ("ann", "bob")
OWN: dict[str, tuple[str, dict[str, Any], Callable[[Any], list[str]]]] = {
    "content": ("/content", {"user_id": "ann"}, lambda body: [one["item_id"] for one in body["items"]]),
    "results": (
        *("/results/ann", {}),
        lambda body: (
            [one["item_id"] for group in body["categories"] for one in group["items"]]
            + [other for group in body["categories"] for one in group["items"] for other in one["also"]]
        ),
    ),
    "recommendations": (
        *("/api/v1/recommendations", {"user_id": "ann"}),
        lambda body: [one["content_id"] for one in body["recommendations"]],
    ),
    "personalize": (
        "POST /personalize",
        {"user_id": "ann"},
        lambda body: [one["id"] for one in body["recommendations"]],
    ),
    "video": ("/api/v1/feed", {"username": "ann"}, lambda body: [f"post-{one['post_id']}" for one in body["posts"]]),
}


async def ask(world: World, path: str, fields: dict[str, Any], **settings: Any) -> Any:
    method, _, path = path.rpartition(" ")
    async with world.http(api_rerank_timeout_s=0.01, **settings) as http:
        answer = await (http.post(path, json=fields) if method else http.get(path, params=fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("setting", "names"), [("hide", [PRIVATE, NEAR, PLAIN]), ("last", [SOLD_OUT, PRIVATE, NEAR, PLAIN])]
)
@pytest.mark.parametrize("path", OWN)
async def test_a_users_own_feed_leaves_out_what_has_gone_since(path: str, setting: str, names: list[str]) -> None:
    where, arguments, ids = OWN[path]
    assert sorted(ids(await ask(await a_world(), where, arguments, out_of_stock=setting))) == sorted(names)


@pytest.mark.parametrize(("number", "limit", "count"), [(0, 2, 2), (1, 2, 2), (2, 3, 1), (3, 1, 0)])
@pytest.mark.parametrize("path", ["content", "recommendations"])
async def test_what_is_left_out_takes_no_place(path: str, number: int, limit: int, count: int) -> None:
    where, arguments, ids = OWN[path]
    world = await a_world()
    await world.items.delete([PRIVATE, NEAR, PLAIN][:number])
    assert len(ids(await ask(world, where, arguments | {"limit": limit}))) == count


async def test_an_explanation_counts_what_is_shown_and_what_has_gone_has_none() -> None:
    async with (await a_world()).http() as http:
        answers = [
            await http.get("/api/v1/recommendations/explain", params={"user_id": "ann", "content_id": item_id})
            for item_id in (PLAIN, GONE, SOLD_OUT)
        ]
    assert [answer.status_code for answer in answers] == [200, 404, 404]
    assert (answers[0].json()["rank"], answers[0].json()["combined_score"]) == (3, 0.0)
    parts = answers[0].json()["parts"]
    assert parts["popular"] > 0.0
    assert sum(parts.values()) == pytest.approx(0.0, abs=1e-3), "they add up to the combined score"


async def test_an_export_holds_what_is_shown_with_its_own_reasons() -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.post("/api/v1/recommendations/export", json={"user_ids": ["ann"], "limit": 2})
    lines = [line.split(",") for line in answer.text.splitlines()[1:]]
    assert [(line[1], line[2]) for line in lines] == [("1", PRIVATE), ("2", NEAR)]


def posts(body: Any) -> list[str]:
    return [f"post-{post['post_id']}" for post in body["posts"]]


def shop(name: str) -> Callable[[Any], list[str]]:
    return lambda body: [f"post-{product['id'][-1]}" for product in body[name]]


EVERYBODYS: dict[str, tuple[str, dict[str, Any], bool, Callable[[Any], list[str]]]] = {
    "search": (
        "/search",
        {"q": "jazz", "kind": "product"},
        True,
        lambda body: [f"post-{one['item_id'][-1]}" for one in body["results"]],
    ),
    "search that finds nothing": (
        "/search",
        {"q": "qwx"},
        True,
        lambda body: [one["item_id"] for one in body["results"]],
    ),
    "home": ("/recommendations/home", {}, True, shop("personalized")),
    "home, trending": ("/recommendations/home", {}, True, shop("trending")),
    "home, best value": ("/recommendations/home", {}, True, shop("best_value")),
    "home, diverse": ("/recommendations/home", {}, True, shop("diverse_picks")),
    "home, category": ("/recommendations/home", {}, True, lambda body: shop("music")(body["top_categories"])),
    "shop search": ("/recommendations/search", {"query": "jazz"}, False, shop("results")),
    "shop search that finds nothing": ("/recommendations/search", {"query": "qwx"}, False, shop("results")),
    "product": (f"/recommendations/product/A00000000{ASKED[-1]}", {}, False, shop("similar")),
    "rules": (
        *(f"/recommendations/product/A00000000{ASKED[-1]}/rules", {}, False),
        lambda body: [f"post-{rule['product']['id'][-1]}" for rule in body["rules"]],
    ),
    "trending": ("/api/v1/trending", {}, False, posts),
    "similar posts": (f"/api/v1/similar/{ASKED[-1]}", {}, True, posts),
    "similar content": (
        *(f"/api/v1/content/{ASKED}/similar", {}, False),
        lambda body: [one["content_id"] for one in body["similar"]],
    ),
}
"""Endpoints whose lists are made for all: path, query, whether a user may be named, and the ids of an answer."""


def asking(name: str, user: str | None) -> dict[str, Any]:
    arguments, somebody = EVERYBODYS[name][1:3]
    who = "username" if "similar" in name else "user_id"
    return arguments | ({who: user} if somebody and user is not None else {})


@pytest.mark.parametrize("name", [name for name, (_, _, somebody, _) in EVERYBODYS.items() if somebody])
async def test_to_a_user_what_is_near_is_shown_and_nothing_else_that_is_tied(name: str) -> None:
    result = EVERYBODYS[name][3](await ask(await a_world(), EVERYBODYS[name][0], asking(name, "ann")))
    assert set(result) - {ASKED} == {NEAR, PLAIN}


@pytest.mark.parametrize("name", EVERYBODYS)
async def test_without_a_location_items_with_one_come_last(name: str) -> None:
    result = EVERYBODYS[name][3](await ask(await a_world(), EVERYBODYS[name][0], asking(name, "bob")))
    assert set(result) - {ASKED} == {NEAR, FAR, PLAIN}
    assert set(result[-2:]) == {NEAR, FAR}


@pytest.mark.parametrize("name", EVERYBODYS)
async def test_what_is_out_of_stock_comes_last_by_setting(name: str) -> None:
    arguments = asking(name, "ann")
    result = EVERYBODYS[name][3](await ask(await a_world(), EVERYBODYS[name][0], arguments, out_of_stock="last"))
    expected_ids = {NEAR} if EVERYBODYS[name][2] else {NEAR, FAR}
    assert set(result) - {ASKED} == {PLAIN, SOLD_OUT} | expected_ids
    assert result.index(PLAIN) < result.index(SOLD_OUT)


async def test_what_is_like_an_item_at_a_place_is_near_to_that() -> None:
    world = await a_world()
    await world.items.write([a_product(f"A00000000{ASKED[-1]}", "Jazz", **LISBON)])
    body = await ask(world, f"/recommendations/product/A00000000{ASKED[-1]}", {})
    assert shop("similar")(body) == [NEAR, PLAIN]


async def test_a_search_may_be_for_another_city() -> None:
    world = await a_world()
    fields = {"q": "jazz", "kind": "product", "user_id": "ann", "city": "東京"}
    item_ids = [f"post-{one['item_id'][-1]}" for one in (await ask(world, "/search", fields))["results"]]
    assert set(item_ids) - {ASKED} == {FAR, PLAIN}


async def test_with_a_token_a_search_is_for_its_user() -> None:
    async def found(http: httpx.AsyncClient, token: str, **text: str) -> set[str]:
        params = {"q": "jazz", "kind": "product"} | text
        answer = await http.get("/search", params=params, headers=bearer(token))
        assert answer.status_code == 200, answer.text
        return {f"post-{one['item_id'][-1]}" for one in answer.json()["results"]} - {ASKED}

    async with (await a_world()).http(**STRICT) as http:
        assert await found(http, a_token("ann")) == {NEAR, PLAIN}
        assert await found(http, a_token("bob")) == {NEAR, FAR, PLAIN}
        refusal = await http.get("/search", params={"q": "jazz", "user_id": "ann"}, headers=bearer(a_token("bob")))
    assert refusal.status_code == 403


async def test_the_catalogue_lists_no_private_item() -> None:
    body = await ask(await a_world(), "/api/v1/content", {})
    assert {one["content_id"] for one in body["content"]} == {PLAIN, NEAR, FAR, SOLD_OUT, ASKED}


stored_items = st.builds(
    an_item,
    st.text(min_size=1, max_size=3),
    private=st.booleans(),
    stock=st.none() | st.integers(0, 2),
    city=st.none() | st.sampled_from(("Lisbon", "Lissabon", "Tokyo", "Kleindorf")),
)


@given(
    st.lists(stored_items, max_size=8, unique_by=lambda item: item.item_id),
    st.sampled_from((UNKNOWN_LOCATION, geo_location(None, "Lisbon"), geo_location(None, "Kleindorf"))),
    st.sampled_from(("hide", "last")),
)
def test_what_may_be_shown_keeps_its_order_within_first_and_last(items: list[Item], user: Any, setting: str) -> None:
    offers = VisibilityRules(Settings(out_of_stock=setting))
    data = {item.item_id: msgspec.Raw(msgspec.json.encode(item)) for item in items}
    visible_items = offers.visible_to(user, data)
    by_id, order = {item.item_id: item for item in items}, list(data)

    def is_last(item_id: str) -> bool:
        item = by_id[item_id]
        return item.stock == 0 or (item.city is not None and not user.is_known)

    assert visible_items == sorted(visible_items, key=lambda item_id: (is_last(item_id), order.index(item_id)))
    assert not any(by_id[item_id].private for item_id in visible_items)
    assert setting == "last" or not any(by_id[item_id].stock == 0 for item_id in visible_items)
    own = [list(data)[position] for position, _, _ in offers.visible_in_feed(list(data), list(data.values()), start=0)]
    assert own == [item_id for item_id in data if setting == "last" or by_id[item_id].stock != 0]
