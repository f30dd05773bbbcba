import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from api.context import ApiContext, Clients
from api.endpoints.content import ContentEndpoints
from api.endpoints.metrics import Metrics
from api.http.error import StreamsError, TooManyListenersError
from api.http.event_streams import Listeners
from infra.fakes.memory_publisher import MemoryPublisher
from infra.kafka.partition import partition_of
from infra.redis.connection import StoreError
from infra.redis.key_changes import OnChange
from infra.redis.stores.feed_store import DEFAULT_FEED, MemoryFeedStore
from infra.redis.stores.item_store import ItemCache, MemoryItemStore
from infra.settings import Settings
from schemas.types import FeedOrder
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import NOW_MS, World, a_context
from tests.waiting import until
from topics.topic import INTERACTIONS


class AwayFeeds:
    """A feed store that does not answer."""

    async def read_packed(self, user_ids: Any) -> Any:
        raise StoreError("reading feeds", ConnectionError("refused"))

    async def follow(self, on_change: Any) -> None:
        raise StoreError("following feeds", ConnectionError("refused"))

    async def close(self) -> None:
        pass


async def a_world(*missing: str, **feed: Any) -> World:
    """Return a world whose catalogue holds the items of a feed but for some."""
    world = World()
    await world.items.write([an_item(item) for item in ("i1", "i2", "i3") if item not in missing])
    await world.feeds.write([a_feed(**feed)])
    return world


async def test_content_is_the_feed_joined_with_its_items() -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert answer.status_code == 200
    body = answer.json()
    items = body.pop("items")
    assert answer.headers["ETag"] == f'W/"{body["version"]}"'
    assert body.pop("version").startswith(f"5-{T0_MS + 500}-")
    assert body == {
        "user_id": "u1",
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


async def test_content_limit_takes_the_best() -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", "limit": 2})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i1", "i2"]


async def test_content_of_a_feed_without_parts() -> None:
    world = await a_world(parts={})
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert [item["parts"] for item in answer.json()["items"]] == [{}, {}, {}]


async def test_content_of_an_unknown_user_is_everyones() -> None:
    world = await a_world(user_id=DEFAULT_FEED)
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


async def test_content_is_in_the_order_for_the_time_since_the_last_event() -> None:
    now_ms = T0_MS + 59_999
    world = await a_world(orders=[FeedOrder(from_ms=60_000, indices=[2, 0, 1])])
    world.clients["now_ms"] = lambda: now_ms
    async with world.http() as http:
        before = await http.get("/content", params={"user_id": "u1"})
        now_ms += 1
        headers = {"If-None-Match": before.headers["ETag"]}
        after = await http.get("/content", params={"user_id": "u1"}, headers=headers)
        now_ms += 1
        again = await http.get("/content", params={"user_id": "u1"}, headers={"If-None-Match": after.headers["ETag"]})
    assert [item["item_id"] for item in before.json()["items"]] == ["i1", "i2", "i3"]
    assert after.status_code == 200, "another order is another version"
    entries = [(item["item_id"], item["score"], item["reason"]) for item in after.json()["items"]]
    assert entries == [("i3", 0.1, "Trending now"), ("i1", 0.9, "Trending now"), ("i2", 0.5, "Popular in music")]
    assert again.status_code == 304


async def test_what_has_left_the_catalogue_is_left_out_of_each_order() -> None:
    world = await a_world("i3", orders=[FeedOrder(from_ms=1_000, indices=[2, 1, 0])])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i2", "i1"]


async def test_the_feed_of_everyone_has_one_order() -> None:
    world = await a_world(user_id=DEFAULT_FEED, orders=[FeedOrder(from_ms=1_000, indices=[2, 1, 0])])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "nobody"})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i1", "i2", "i3"]


def a_token(user_id: str, offset: int) -> str:
    """Return the token of an interaction of a user."""
    return f"interactions.v1-{partition_of(user_id.encode(), INTERACTIONS.partitions)}-{offset}"


class LateFeeds(MemoryFeedStore):
    """A feed store whose notices for caches do not arrive while a test runs; its listeners hear at once."""

    async def follow(self, on_change: OnChange) -> None:
        on_change(None)
        await asyncio.Event().wait()


@pytest.mark.parametrize("store", [MemoryFeedStore, LateFeeds])
async def test_content_after_an_interaction_waits_for_the_feed_that_reflects_it(store: type[MemoryFeedStore]) -> None:
    world = World(feeds=store())
    await world.items.write([an_item("i1"), an_item("i2"), an_item("i3")])
    await world.feeds.write([a_feed(interactions_offset=6)])
    async with world.http(api_after_timeout_s=30.0) as http:
        parameters = {"user_id": "u1", "after": a_token("u1", 7)}
        waiting = asyncio.create_task(http.get("/content", params=parameters))
        await until(lambda: "u1" in world.feeds.fanout)
        await world.feeds.write([a_feed(features_version=6, items=["i3", "i2", "i1"], interactions_offset=7)])
        newer, next_read = await waiting, await http.get("/content", params={"user_id": "u1"})
        same = await http.get("/content", params={"user_id": "u1", "after": a_token("u1", 6)})
    assert (newer.json()["reflects_after"], newer.json()["items"][0]["item_id"]) == (True, "i3")
    assert next_read.json()["version"] == newer.json()["version"], "no later read is older"
    assert "reflects_after" not in next_read.json()
    assert same.json()["reflects_after"], "a feed that reflects it is there"


@pytest.mark.parametrize("owner", ["u1", DEFAULT_FEED])
async def test_content_says_that_no_feed_reflects_an_interaction_yet(owner: str) -> None:
    world = await a_world(user_id=owner)
    async with world.http(api_after_timeout_s=0.05) as http:
        answer = await http.get("/content", params={"user_id": "u1", "after": a_token("u1", 0), "limit": 1})
    assert (answer.status_code, answer.json()["reflects_after"], len(answer.json()["items"])) == (200, False, 1)


@pytest.mark.parametrize(
    "token", ["", "7", "interactions.v1-x-7", "interactions.v1-3-7", "locations.v1-2-7", a_token("u1", -1)]
)
async def test_content_refuses_a_token_that_is_not_of_the_users_interactions(token: str) -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", "after": token})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, "after")


async def test_content_leaves_out_what_the_client_names_and_fills_up() -> None:
    world = await a_world()
    async with world.http() as http:
        whole = await http.get("/content", params={"user_id": "u1"})
        answer = await http.get("/content", params={"user_id": "u1", "exclude": "i1,unknown", "limit": 2})
    assert [item["item_id"] for item in answer.json()["items"]] == ["i2", "i3"]
    assert answer.headers["ETag"] != whole.headers["ETag"]


async def test_content_has_only_the_fields_that_were_asked_for() -> None:
    world = await a_world()
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", "fields": "item_id,score"})
        refusal = await http.get("/content", params={"user_id": "u1", "fields": "item_id,title"})
    assert answer.json()["items"][0] == {"item_id": "i1", "score": 0.9}
    assert answer.json()["model"] == "blend-1"
    assert (refusal.status_code, refusal.json()["error"]["field"]) == (422, "fields")


@pytest.mark.parametrize(("accept", "coding"), [("gzip, br", "gzip"), ("identity", None), ("gzip;q=0", None)])
async def test_content_is_compressed_for_clients_that_ask_for_it(accept: str, coding: str | None) -> None:
    world = await a_world()
    await world.items.write([an_item("i1", description="long " * 500)])
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1"}, headers={"Accept-Encoding": accept})
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert len(answer.json()["items"]) == 3


async def test_content_follows_every_change_of_feed_and_items_though_it_is_kept() -> None:
    world = await a_world("i3")
    async with world.http() as http:

        async def titles() -> list[str]:
            answer = await http.get("/content", params={"user_id": "u1"})
            return [item["item"]["title"] for item in answer.json()["items"]]

        async def has(*expected: str) -> bool:
            return await titles() == list(expected)

        assert await titles() == await titles() == ["Title of i1", "Title of i2"]
        await world.items.write([an_item("i3"), an_item("i1", title="New")])
        await until(lambda: has("New", "Title of i2", "Title of i3"))
        await world.items.delete(["i2"])
        await until(lambda: has("New", "Title of i3"))
        await world.feeds.write([a_feed(features_version=6, items=["i3", "i2", "i1"])])
        assert await titles() == ["Title of i3", "New"], "the notice of a feed arrives with its write"


async def read(world: World, **value: Any) -> httpx.Response:
    """Read u1's content."""
    async with world.http() as http:
        return await http.get("/content", params={"user_id": "u1"}, **value)


@pytest.mark.parametrize(
    ("text", "status"),
    [('W/"{v}"', 304), ('"{v}"', 304), ('"other", W/"{v}"', 304), ("*", 304), ('"other"', 200), ("{v}", 200)],
)
async def test_content_the_client_has_is_304(text: str, status: int) -> None:
    world = await a_world()
    first = await read(world)
    again = await read(world, headers={"If-None-Match": text.replace("{v}", first.json()["version"])})
    assert again.status_code == status
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (again.content == b"") is (status == 304)


CHANGES: dict[str, dict[str, Any]] = {
    "price": {"price": 9.5},
    "title": {"title": "Another"},
    "description": {"description": "More."},
    "attribute": {"attributes": {"starts": "2026-01-01"}},
    "topics": {"topics": ["jazz", "live"]},
    "link": {"url": "https://example.com"},
    "picture": {"image_url": "https://example.com/i.png"},
    "stock": {"stock": 3},
    "sold out": {"stock": 0},
    "city": {"city": "Lisbon"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("place", ["i1", "i2", "i3"])
async def test_a_validator_changes_with_whatever_is_said_of_an_item(change: dict[str, Any], place: str) -> None:
    world = await a_world()
    first = await read(world)
    headers = {"If-None-Match": first.headers["ETag"]}
    assert (await read(world, headers=headers)).status_code == 304
    await world.items.write([an_item(place, **change)])
    new_answer = await read(world, headers=headers)
    assert new_answer.status_code == 200
    assert new_answer.headers["ETag"] != first.headers["ETag"]
    assert new_answer.json()["version"] != first.json()["version"]
    assert (await read(world, headers={"If-None-Match": new_answer.headers["ETag"]})).status_code == 304


async def test_a_validator_changes_when_an_item_goes_and_is_the_old_one_when_it_is_back() -> None:
    world = await a_world()
    first = await read(world)
    headers = {"If-None-Match": first.headers["ETag"]}
    await world.items.delete(["i2"])
    answer = await read(world, headers=headers)
    assert (answer.status_code, [item["item_id"] for item in answer.json()["items"]]) == (200, ["i1", "i3"])
    await world.items.write([an_item("i2")])
    assert (await read(world, headers=headers)).status_code == 304


async def test_a_validator_is_that_of_one_user_and_one_feed() -> None:
    world = await a_world()
    mine = (await read(world)).headers["ETag"]
    others = await a_world(user_id=DEFAULT_FEED)
    assert (await read(others)).headers["ETag"] != mine
    await world.feeds.write([a_feed(generated_at=T0_MS + 501)])
    assert (await read(world)).headers["ETag"] != mine


@pytest.mark.parametrize(
    ("missing", "limit", "names"),
    [
        ([], 2, ["i1", "i2"]),
        (["i1"], 2, ["i2", "i3"]),
        (["i2"], 2, ["i1", "i3"]),
        (["i2"], 1, ["i1"]),
        (["i1", "i2"], 1, ["i3"]),
        (["i1", "i3"], 3, ["i2"]),
        (["i1", "i2", "i3"], 3, []),
    ],
)
async def test_an_item_that_is_gone_takes_no_place(missing: list[str], limit: int, names: list[str]) -> None:
    world = await a_world(*missing)
    async with world.http() as http:
        answer = await http.get("/content", params={"user_id": "u1", "limit": limit})
    items = answer.json()["items"]
    scores = {"i1": 0.9, "i2": 0.5, "i3": 0.1}
    reasons = dict(zip(a_feed().items, a_feed().reasons, strict=True))
    assert [(item["item_id"], item["score"], item["reason"]) for item in items] == [
        (item_id, scores[item_id], reasons[item_id]) for item_id in names
    ]
    assert all(item["item"]["item_id"] == item["item_id"] for item in items)
    assert [sum(item["parts"].values()) for item in items] == pytest.approx([scores[item] for item in names], abs=1e-3)


@pytest.mark.parametrize(("setting", "names"), [("hide", ["i2", "i3"]), ("last", ["i1", "i2", "i3"])])
async def test_an_item_that_was_sold_out_since_is_left_out_by_setting(setting: str, names: list[str]) -> None:
    world = await a_world()
    await world.items.write([an_item("i1", stock=0)])
    async with world.http(out_of_stock=setting) as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert [item["item_id"] for item in answer.json()["items"]] == names


async def test_a_change_of_an_item_shows_at_once() -> None:
    world = await a_world()

    async def titles(http: httpx.AsyncClient) -> list[str]:
        items = (await http.get("/content", params={"user_id": "u1"})).json()["items"]
        return [item["item"]["title"] for item in items]

    async with world.http() as http:
        assert await titles(http) == ["Title of i1", "Title of i2", "Title of i3"]
        await world.items.write([an_item("i2", title="Another")])
        await world.items.delete(["i1"])

        async def changed() -> bool:
            return await titles(http) == ["Another", "Title of i3"]

        await until(changed)


async def test_content_without_its_store_is_503() -> None:
    async with World(clients={"feeds": AwayFeeds()}).http() as http:
        answer = await http.get("/content", params={"user_id": "u1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_away")
    assert "Retry-After" in answer.headers


async def test_content_is_counted_with_its_age() -> None:
    world = World()
    await world.feeds.write([a_feed(), a_feed(user_id=DEFAULT_FEED)])
    await world.items.write([an_item("i1")])
    async with world.http() as http:
        for user_id in ("u1", "u1", "u2"):
            await http.get("/content", params={"user_id": user_id})
        text = (await http.get("/metrics")).text
    assert 'millrace_feed_reads_total{result="own"} 2.0' in text
    assert 'millrace_feed_reads_total{result="fallback"} 1.0' in text
    assert "millrace_feed_age_at_read_seconds_sum 3.0" in text
    assert 'millrace_item_cache_total{result="hit"} 2.0' in text
    assert 'millrace_item_cache_total{result="miss"} 5.0' in text, "missing items are not looked up twice"
    assert 'millrace_feed_cache_total{result="hit"} 3.0' in text
    assert 'millrace_feed_cache_total{result="miss"} 3.0' in text
    assert 'millrace_http_requests_total{method="GET",route="/content",status="200"} 3.0' in text


def endpoints(world: World, **settings: Any) -> ContentEndpoints:
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items, now_ms=lambda: NOW_MS)
    return ContentEndpoints(ApiContext(Settings(**settings), clients, Metrics(), ItemCache(world.items)))


async def test_stream_does_not_wait_until_the_cache_hears_of_a_newer_feed() -> None:
    feeds, items = LateFeeds(), MemoryItemStore()
    await feeds.write([a_feed()])
    clients = Clients(publisher=MemoryPublisher(), feeds=feeds, items=items, now_ms=lambda: NOW_MS)
    context = ApiContext(Settings(), clients, Metrics(), ItemCache(items))
    following = asyncio.create_task(context.feeds.follow())
    await asyncio.sleep(0)  # it begins to follow
    stream = ContentEndpoints(context).events("u1", 2, None)
    async with asyncio.timeout(5):
        await anext(stream)
        await context.feeds.read(["u1"])  # it is kept
        await feeds.write([a_feed(features_version=6)])
        newer = await anext(stream)
    await stream.aclose()
    following.cancel()
    assert str(newer.id).startswith("6-")


async def test_stream_sends_the_feed_and_then_each_newer_one() -> None:
    world = await a_world()
    stream = endpoints(world).events("u1", 2, None)
    async with asyncio.timeout(5):
        first = await anext(stream)
        await world.feeds.write([a_feed(features_version=4)])
        await world.feeds.write([a_feed(user_id="u2", features_version=6)])
        await world.feeds.write([a_feed(features_version=6)])
        second = await anext(stream)
    await stream.aclose()
    assert first.event == "feed"
    assert [str(event.id).rpartition("-")[0] for event in (first, second)] == [f"{n}-{T0_MS + 500}" for n in (5, 6)]
    assert len(msgspec.json.decode(first.data)["items"]) == 2


async def test_stream_does_not_repeat_what_the_client_has() -> None:
    world = await a_world()
    first = await anext(endpoints(world).events("u1", 2, None))
    stream = endpoints(world).events("u1", 2, first.id)
    waiting = asyncio.ensure_future(anext(stream))
    async with asyncio.timeout(5):
        await until(lambda: "u1" in world.feeds.fanout)
        await world.feeds.write([a_feed(features_version=6)])
        event = await waiting
    await stream.aclose()
    assert str(event.id).startswith(f"6-{T0_MS + 500}-")
    assert "u1" not in world.feeds.fanout


async def test_stream_sends_the_feed_anew_when_one_of_its_items_changes_or_goes() -> None:
    world = await a_world()
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items, now_ms=lambda: NOW_MS)
    context = ApiContext(Settings(), clients, Metrics(), ItemCache(world.items))
    following = asyncio.create_task(context.items.follow())
    stream = ContentEndpoints(context).events("u1", 2, None)

    async def titles() -> list[str]:
        async with asyncio.timeout(5):
            items = msgspec.json.decode((await anext(stream)).data)["items"]
        return [item["item"]["title"] for item in items]

    assert await titles() == ["Title of i1", "Title of i2"]
    await world.items.write([an_item("i9", title="Of no feed")])
    await world.items.write([an_item("i2", title="Another")])
    assert await titles() == ["Title of i1", "Another"]
    await world.items.delete(["i1"])
    assert await titles() == ["Another", "Title of i3"]
    await world.items.write([an_item("i1")])
    assert await titles() == ["Title of i1", "Another"]
    await stream.aclose()
    following.cancel()


def test_streams_are_for_so_many_listeners_and_for_so_many_of_one_user() -> None:
    listeners = Listeners(a_context(api_max_listeners=3, api_max_user_listeners=2))
    with listeners.counting("ann"):
        listeners.check_limits("ann")
        with listeners.counting("ann"):
            with pytest.raises(StreamsError) as refusal:
                listeners.check_limits("ann")
            listeners.check_limits("bob")
            with listeners.counting("bob"), pytest.raises(TooManyListenersError):
                listeners.check_limits("eve")
    listeners.check_limits("ann")
    assert (refusal.value.status, refusal.value.headers()) == (429, {"Retry-After": "5"})
