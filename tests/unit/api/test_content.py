import asyncio
from typing import Any

import msgspec
import pytest

from api.content import ContentEndpoints
from api.context import Clients, Context
from api.error import CrowdedError, StreamsError
from api.metrics import Metrics
from api.stream import Listeners
from infra.feed_store import EVERYONE
from infra.item_store import ItemCache
from infra.redis_client import StoreError
from infra.settings import Settings
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import NOW_MS, World, a_context


class AwayFeeds:
    """A feed store that does not answer."""

    async def read(self, user_ids: Any) -> Any:
        raise StoreError("reading feeds", ConnectionError("refused"))

    async def close(self) -> None:
        pass


async def test_content_is_the_feed_joined_with_its_items() -> None:
    world = World()
    await world.items.write([an_item("i1"), an_item("i3")])
    await world.feeds.write([a_feed()])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert answer.status_code == 200
    body = answer.json()
    items = body.pop("items")
    assert body == {
        "user_id": "u1",
        "version": f"5-{T0_MS + 500}",
        "generated_at": T0_MS + 500,
        "age_ms": 1_500,
        "watermark": T0_MS,
        "model": "blend-1",
        "fallback": False,
    }
    assert [(item["item_id"], item["score"], item["source"], item["reason"]) for item in items] == [
        ("i1", 0.9, "trending", "Trending now"),
        ("i2", 0.5, "popular", "Popular in music"),
        ("i3", 0.1, "trending", "Trending now"),
    ]
    assert [list(item["parts"]) for item in items] == [["trending"], ["popular"], ["trending"]]
    assert items[0]["parts"]["trending"] == pytest.approx(0.9, abs=1e-3)
    assert items[0]["item"] == msgspec.to_builtins(an_item("i1"))
    assert items[1]["item"] is None


async def test_content_limit_takes_the_best() -> None:
    world = World()
    await world.feeds.write([a_feed()])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", "limit": 2})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i1", "i2"]


async def test_content_of_a_feed_without_parts() -> None:
    world = World()
    await world.feeds.write([a_feed(parts={})])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert [item["parts"] for item in answer.json()["items"]] == [{}, {}, {}]


async def test_content_of_an_unknown_user_is_everyones() -> None:
    world = World()
    await world.feeds.write([a_feed(user_id=EVERYONE)])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "nobody"})
    body = answer.json()
    assert (body["user_id"], body["fallback"], len(body["items"])) == ("nobody", True, 3)


async def test_content_of_nobody_at_all_is_404() -> None:
    async with World().http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_feed")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "user_id"),
        ("user_id=", "user_id"),
        ("user_id=a%00b", "user_id"),
        ("user_id=u1&limit=0", "limit"),
        ("user_id=u1&limit=-1", "limit"),
        ("user_id=u1&limit=many", "limit"),
        ("user_id=u1&limit=1001", "limit"),
        ("user_id=u1&limit=%D9%A1", "limit"),
    ],
)
@pytest.mark.parametrize("path", ["/content", "/content/stream"])
async def test_content_refuses_bad_parameters(path: str, query: str, field: str) -> None:
    async with World().http() as http:
        answer = await http.get(f"{path}?{query}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


@pytest.mark.parametrize(
    ("sent", "status"),
    [('W/"{v}"', 304), ('"{v}"', 304), ('"other", W/"{v}"', 304), ("*", 304), ('"other"', 200), ("{v}", 200)],
)
async def test_content_the_client_has_is_304(sent: str, status: int) -> None:
    world = World()
    await world.feeds.write([a_feed()])
    version = f"5-{T0_MS + 500}"
    async with world.http() as http:
        first = await http.get("/content", params={"user_id": "u1"})
        again = await http.get(
            "/content", params={"user_id": "u1"}, headers={"If-None-Match": sent.replace("{v}", version)}
        )
    assert first.headers["ETag"] == f'W/"{version}"'
    assert again.status_code == status
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (again.content == b"") is (status == 304)


async def test_content_without_its_store_is_503() -> None:
    async with World(clients={"feeds": AwayFeeds()}).http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")
    assert "Retry-After" in answer.headers


async def test_content_is_counted_with_its_age() -> None:
    world = World()
    await world.feeds.write([a_feed(), a_feed(user_id=EVERYONE)])
    await world.items.write([an_item("i1")])
    async with world.http() as http:
        for user_id in ("u1", "u1", "u2"):
            await http.get("/content", params={"user_id": user_id})
        text = (await http.get("/metrics")).text
    assert 'millrace_feed_reads_total{result="own"} 2.0' in text
    assert 'millrace_feed_reads_total{result="fallback"} 1.0' in text
    assert "millrace_feed_age_at_read_seconds_sum 3.0" in text
    assert 'millrace_item_cache_total{result="hit"} 2.0' in text
    assert 'millrace_item_cache_total{result="miss"} 7.0' in text
    assert 'millrace_http_requests_total{method="GET",route="/content",status="200"} 3.0' in text


def endpoints(world: World, **settings: Any) -> ContentEndpoints:
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items, now_ms=lambda: NOW_MS)
    return ContentEndpoints(Context(Settings(**settings), clients, Metrics(), ItemCache(world.items)))


async def test_stream_sends_the_feed_and_then_each_newer_one() -> None:
    world = World()
    await world.feeds.write([a_feed()])
    stream = endpoints(world).events("u1", 2, None)
    async with asyncio.timeout(5):
        first = await anext(stream)
        await world.feeds.write([a_feed(features_version=4)])
        await world.feeds.write([a_feed(user_id="u2", features_version=6)])
        await world.feeds.write([a_feed(features_version=6)])
        second = await anext(stream)
    await stream.aclose()
    assert (first.event, first.id, second.id) == ("feed", f"5-{T0_MS + 500}", f"6-{T0_MS + 500}")
    assert len(msgspec.json.decode(first.data)["items"]) == 2


async def test_stream_does_not_repeat_what_the_client_has() -> None:
    world = World()
    await world.feeds.write([a_feed()])
    stream = endpoints(world).events("u1", 2, f"5-{T0_MS + 500}")
    waiting = asyncio.ensure_future(anext(stream))
    async with asyncio.timeout(5):
        while "u1" not in world.feeds.listening:  # noqa: ASYNC110 - it has no event for this
            await asyncio.sleep(0)
        await world.feeds.write([a_feed(features_version=6)])
        event = await waiting
    await stream.aclose()
    assert event.id == f"6-{T0_MS + 500}"
    assert "u1" not in world.feeds.listening


def test_streams_are_for_so_many_listeners_and_for_so_many_of_one_user() -> None:
    listeners = Listeners(a_context(api_max_listeners=3, api_max_user_listeners=2))
    with listeners.following("ann"):
        listeners.admit("ann")
        with listeners.following("ann"):
            with pytest.raises(StreamsError) as refusal:
                listeners.admit("ann")
            listeners.admit("bob")
            with listeners.following("bob"), pytest.raises(CrowdedError):
                listeners.admit("eve")
    listeners.admit("ann")
    assert (refusal.value.status, refusal.value.headers()) == (429, {"Retry-After": "5"})
