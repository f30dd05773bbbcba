"""The log of served feeds as impressions, for clients that report none."""

from __future__ import annotations

from tests.build import a_feed, an_item
from tests.unit.api.builder import NOW_MS, World
from topics.topic import IMPRESSIONS


async def a_world() -> World:
    world = World()
    await world.items.write([an_item("i1"), an_item("i3")])
    await world.feeds.write([a_feed(user_id="ann"), a_feed(user_id="~everyone")])
    return world


async def test_a_served_feed_is_logged_as_an_impression_of_what_was_visible() -> None:
    world = await a_world()
    async with world.http(impression_log_share=1.0) as http:
        answer = await http.get("/content?user_id=ann&limit=5", headers={"X-Request-ID": "r1"})
        await http.get("/content?user_id=ann", headers={"If-None-Match": answer.headers["ETag"]})
        await http.get("/content?user_id=new&limit=1", headers={"X-Request-ID": "r2"})
    own, default = world.publisher.values_of(IMPRESSIONS)
    assert (own.user_id, own.request_id, own.is_reported, own.occurred_at) == ("ann", "r1", False, NOW_MS)
    places = [(item.item_id, item.position) for item in own.items]
    assert places == [(entry["item_id"], place) for place, entry in enumerate(answer.json()["items"])]
    assert (default.user_id, default.request_id, len(default.items)) == ("new", "r2", 1)


async def test_nothing_is_logged_by_default() -> None:
    world = await a_world()
    async with world.http() as http:
        await http.get("/content?user_id=ann")
    assert world.publisher.values_of(IMPRESSIONS) == []


async def test_a_share_of_the_requests_is_logged() -> None:
    world = await a_world()
    async with world.http(impression_log_share=0.25, rate_limit_user="off", rate_limit_address="off") as http:
        for number in range(200):
            await http.get("/content?user_id=ann", headers={"X-Request-ID": f"request {number}"})
    assert 25 <= len(world.publisher.values_of(IMPRESSIONS)) <= 75


async def test_reads_continue_while_impressions_cannot_be_published_until_later() -> None:
    world = await a_world()
    world.publisher.is_unavailable = True
    async with world.http(impression_log_share=1.0) as http:
        assert (await http.get("/content?user_id=ann")).status_code == 200
        world.publisher.is_unavailable = False
    assert len(world.publisher.values_of(IMPRESSIONS)) == 1
