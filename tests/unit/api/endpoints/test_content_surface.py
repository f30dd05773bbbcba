"""GET /content on a surface: the feed of its kinds, or what of the whole feed is of its kinds."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.types import FeedOrder
from tests.build import a_feed, an_item
from tests.unit.api.builder import NOW_MS, World


async def a_shop_world(**settings: Any) -> World:
    """Return a world whose catalogue has an article, a video, and a product."""
    world = World(**settings)
    kinds = {"i1": "product", "i2": "", "i3": "video"}
    await world.items.write([an_item(item, kind=kind, category=f"of {item}") for item, kind in kinds.items()])
    return world


SURFACE_ORDERS = [
    FeedOrder(from_ms=60_000, indices=[2, 1, 0]),
    FeedOrder(from_ms=0, indices=[1], surface="content"),
    FeedOrder(from_ms=0, indices=[0], surface="shop"),
]


@pytest.mark.parametrize(
    ("query", "items"),
    [
        ({}, ["i2"]),
        ({"surface": "shop"}, ["i1"]),
        ({"surface": "video"}, ["i3"]),
        ({"surface": "all"}, ["i3", "i2", "i1"]),
        ({"surface": "all", "kinds": "product,video"}, ["i3", "i1"]),
        ({"surface": "all", "categories": "of i2"}, ["i2"]),
        ({"surface": "shop", "categories": "of i2"}, []),
    ],
)
async def test_content_is_that_of_a_surface(query: dict[str, str], items: list[str]) -> None:
    world = await a_shop_world()
    await world.feeds.write([a_feed(orders=SURFACE_ORDERS, watermark=NOW_MS - 60_000)])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", **query})
    assert [item["item_id"] for item in answer.json()["items"]] == items


async def test_content_is_of_all_kinds_where_the_catalogue_has_none_of_the_default_surface() -> None:
    world = await a_shop_world()
    await world.feeds.write([a_feed()])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
        of_videos = await http.get("/content", params={"user_id": "u1", "surface": "video"})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i1", "i2", "i3"]
    assert [item["item_id"] for item in of_videos.json()["items"]] == ["i3"]


@pytest.mark.parametrize("path", ["/content", "/content/stream"])
async def test_content_refuses_a_surface_that_is_not_set(path: str) -> None:
    world = await a_shop_world()
    async with world.http() as http:
        answer = await http.get(path, params={"user_id": "u1", "surface": "magazine"})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "surface"
    assert "content, video, shop, all" in answer.json()["error"]["message"]
