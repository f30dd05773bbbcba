"""The video engine's endpoints for readers: feeds by page, category and mood, trends, likeness, interactions."""

import asyncio
import time
from typing import Any

import httpx
import jwt
import pytest

from infra.postgres.catalog_filter import MemoryCatalogListing
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.feed_store import reranked
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from models import decay
from schemas.types import Item, RecentItem
from tests.build import T0_MS, a_feed, an_item, features
from tests.unit.api.builder import NOW_MS, World, published
from topics.topic import INTERACTIONS, TRIGGERS


def a_post(number: int, **overrides: Any) -> Item:
    """Return a post; later ones are newer."""
    fields: dict[str, Any] = {
        "category": "Motivation",
        "source": "maker",
        "topics": ["success"],
        "created_at": T0_MS + number,
        "attributes": {"project_code": "flic"},
    }
    return an_item(f"post-{number}", **(fields | overrides))


POSTS = [
    a_post(1),
    a_post(2, category="Comedy", topics=["funny"], attributes={"project_code": "laugh"}),
    a_post(3, topics=["success", "sport"]),
    a_post(4, topics=["cooking"]),
]


async def a_world(*, feed: list[str] | None = None, charts: dict[str, float] | None = None) -> World:
    """Return a world of the posts, with a feed for ann."""
    chart, portraits = MemoryChartStore(), MemoryUserProfileStore()
    await chart.write(charts or {}, {item.item_id: item.category for item in POSTS})
    await portraits.write_inferred([features(user_id="ann", event_count=9)])
    clients = {"charts": chart, "user_profiles": portraits, "catalog_listing": MemoryCatalogListing(POSTS)}
    world = World(clients=clients)
    await world.items.write([*POSTS, an_item("i1")])
    if feed is not None:
        await write_feed(world, "ann", {item_id: 1.0 - place / 10 for place, item_id in enumerate(feed)})
    return world


async def write_feed(world: World, user_id: str, scores: dict[str, float], *, version: int = 5) -> None:
    """Write a feed with the scores of its items, in their order."""
    count = len(scores)
    columns: dict[str, Any] = {"sources": ["trending"] * count, "reasons": ["Trending now"] * count, "parts": {}}
    numbers = list(scores.values())
    feed = a_feed(user_id=user_id, items=list(scores), scores=numbers, features_version=version, **columns)
    await world.feeds.write([feed])


async def answered(world: World, path: str, **params: Any) -> Any:
    """Ask while a worker ranks whatever it is asked for, the other way round."""
    async with world.http(api_rerank_timeout_s=0.5) as http:
        asking = asyncio.create_task(http.get(path, params={"username": "ann"} | params))
        for trigger in await published(world, TRIGGERS, asking):
            items = trigger.candidates[::-1]
            count = len(items)
            columns: dict[str, Any] = {"sources": ["popular"] * count, "reasons": ["Popular"] * count, "parts": {}}
            await world.feeds.write([a_feed(user_id=reranked(trigger), items=items, scores=[0.1] * count, **columns)])
        response: httpx.Response = await asking
    assert response.status_code == 200, response.text
    return response.json()


def ids(body: Any) -> list[int]:
    return [post["post_id"] for post in body["posts"]]


async def test_a_feed_that_is_too_short_is_ranked_by_a_worker_with_more_posts() -> None:
    world = await a_world(feed=["i1", "post-3", "gone"])
    body = await answered(world, "/api/v1/feed")
    assert set(ids(body)) == {1, 2, 3, 4}
    assert ids(body)[-1] == 3, "the worker ranks the other way round"
    [trigger] = world.publisher.values_of(TRIGGERS)
    assert (trigger.candidates[0], set(trigger.candidates)) == ("post-3", {post.item_id for post in POSTS})


async def test_a_feed_that_suffices_is_the_users_own() -> None:
    world = await a_world(feed=["i1", "post-3", "post-1", "gone"])
    async with world.http() as http:
        body = (await http.get("/api/v1/feed", params={"username": "ann", "page_size": 1})).json()
    assert world.publisher.values_of(TRIGGERS) == []
    assert (body["status"], body["username"], body["strategy"]) == ("success", "ann", "personal")
    assert (body["page"], body["page_size"], body["total"], body["has_next"]) == (1, 1, 2, True)
    assert body["posts"][0] == {
        "post_id": 3,
        "title": "Title of post-3",
        "category": "Motivation",
        "topics": ["success", "sport"],
        "project_code": "flic",
        "username": "maker",
        "video_url": None,
        "thumbnail_url": None,
        "created_at": T0_MS + 3,
        "score": 0.9,
        "reason": "Trending now",
    }


async def test_pages_follow_one_another_and_hold_fifty_at_most() -> None:
    world = await a_world(feed=["post-1", "post-2", "post-3", "post-4"])
    async with world.http() as http:
        params = {"username": "ann", "page_size": 2}
        first, second = [(await http.get("/api/v1/feed", params=params | {"page": page})).json() for page in (1, 2)]
        full_page = (await http.get("/api/v1/trending", params={"page_size": 1_000})).json()
    assert (ids(first), first["has_next"], ids(second), second["has_next"]) == ([1, 2], True, [3, 4], False)
    assert full_page["page_size"] == 50


async def test_a_page_holds_as_many_posts_as_is_set() -> None:
    world = await a_world(feed=["post-1", "post-2", "post-3", "post-4"])
    async with world.http(max_recommendations=3) as http:
        page = (await http.get("/api/v1/feed", params={"username": "ann", "page_size": 20})).json()
    assert (ids(page), page["page_size"], page["has_next"]) == ([1, 2, 3], 3, True)


@pytest.mark.parametrize(
    ("threshold", "strategy", "first"), [(5, "personal", 1), (9, "personal", 1), (10, "popular", 3)]
)
async def test_a_feed_is_personal_from_as_many_interactions_as_is_set(
    threshold: int, strategy: str, first: int
) -> None:
    world = await a_world(feed=["post-1", "post-2", "post-3"], charts={"post-3": 9.0, "post-1": 1.0})
    async with world.http(cold_start_threshold=threshold) as http:  # ann has acted nine times
        page = (await http.get("/api/v1/feed", params={"username": "ann", "page_size": 2})).json()
    assert (page["strategy"], ids(page)[0]) == (strategy, first)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"category": "Comedy"}, {2}),
        ({"project_code": "flic"}, {1, 3, 4}),
        ({"mood": "happy"}, {2}),
        ({"mood": "motivated"}, {1, 3}),
        ({"mood": "cooking"}, {4}),
        ({"category": "nothing"}, set()),
    ],
)
async def test_filters_hold_for_the_feed_and_for_what_is_ranked(params: dict[str, str], expected: set[int]) -> None:
    for feed in ([], ["post-1", "post-2"]):
        assert set(ids(await answered(await a_world(feed=feed), "/api/v1/feed", **params))) == expected


async def test_a_category_feed_is_that_of_a_project() -> None:
    body = await answered(await a_world(feed=["post-1"]), "/api/v1/feed/category", project_code="laugh")
    assert (ids(body), body["username"]) == ([2], "ann")


async def test_a_newcomers_feed_is_popular_or_by_mood_until_five_interactions() -> None:
    world = await a_world(charts={"post-1": 1.0, "post-3": 2.0, "post-4": 3.0})
    portraits = world.clients["user_profiles"]
    recent = [RecentItem(item_id="post-4", weight=1.0, at=T0_MS)]
    await portraits.write_inferred(
        [features(user_id="new", event_count=4, recent=recent), features(user_id="old", event_count=5)]
    )
    for name in ("new", "old"):
        await write_feed(world, name, {"post-1": 0.9, "post-2": 0.8, "post-3": 0.7, "post-4": 0.6})

    async def shown(username: str, **params: Any) -> tuple[str, list[int]]:
        page = (await http.get("/api/v1/feed", params={"username": username, "page_size": 3} | params)).json()
        assert page["posts"] == sorted(page["posts"], key=lambda post: -post["score"])
        return page["strategy"], ids(page)

    async with world.http(api_rerank_timeout_s=0.02) as http:
        assert await shown("nobody") == ("popular", [4, 3, 1])
        assert await shown("nobody", page=2) == ("popular", [2])
        assert await shown("new") == ("popular", [3, 1, 2]), "what they have acted on is left out"
        assert await shown("old") == ("personal", [1, 2, 3])
        assert await shown("new", mood="motivated") == ("mood", [3, 1])
        assert await shown("old", mood="motivated") == ("personal", [1, 3])
        assert await shown("new", mood="happy") == ("mood", [2])
        assert await shown("new", category="Comedy") == ("popular", [2])
    assert world.publisher.values_of(TRIGGERS) == []


async def test_the_scores_of_a_feed_never_rise_on_any_page_though_the_user_acts() -> None:
    world = await a_world(feed=[])
    await write_feed(world, "ann", {"post-1": 3.0, "post-2": 7.0, "post-3": 2.0}, version=6)
    async with world.http(api_rerank_timeout_s=0.02) as http:
        params = {"username": "ann", "page_size": 2}
        first = (await http.get("/api/v1/feed", params=params)).json()
        await write_feed(world, "ann", {"post-4": 40.0, "post-3": 1.0}, version=9)
        second = (await http.get("/api/v1/feed", params=params | {"page": 2, "cursor": first["cursor"]})).json()
        again = (await http.get("/api/v1/feed", params=params | {"cursor": first["cursor"]})).json()
    assert [(post["post_id"], post["score"]) for post in first["posts"]] == [(1, 5.0), (2, 5.0)]
    assert [(post["post_id"], post["score"]) for post in second["posts"]] == [(4, 5.0), (3, 1.0)]
    assert again["posts"] == first["posts"]


async def test_what_was_acted_on_lately_is_not_ranked_again() -> None:
    world = await a_world(feed=[])
    user_features = features(user_id="ann", recent=[RecentItem(item_id="post-1", weight=1.0, at=T0_MS)])
    await world.clients["user_profiles"].write_inferred([user_features])
    assert set(ids(await answered(world, "/api/v1/feed"))) == {2, 3, 4}
    assert ids(await answered(world, "/api/v1/similar/3")) == []


async def test_without_a_worker_the_feed_is_what_there_is() -> None:
    world = await a_world(feed=["post-2"])
    async with world.http(api_rerank_timeout_s=0.02) as http:
        late = await http.get("/api/v1/feed", params={"username": "ann"})
        world.publisher.is_unavailable = True
        away = await http.get("/api/v1/feed", params={"username": "ann"})
    assert (late.status_code, ids(late.json())) == (away.status_code, ids(away.json())) == (200, [2])


async def test_what_trends_is_by_category_and_page() -> None:
    rate = decay.rate_of_hourly(Settings().trending_decay_rate)
    weights = {"post-1": 1.0, "post-2": 9.0, "post-3": 5.0, "i1": 7.0}
    trends = {name: decay.add(decay.EMPTY, weight, at_ms=NOW_MS, rate=rate) for name, weight in weights.items()}
    world = await a_world(charts=trends)
    async with world.http() as http:
        everything = (await http.get("/api/v1/trending")).json()
        some = (await http.get("/api/v1/trending", params={"category": "Motivation", "page": 2, "page_size": 1})).json()
        lower = (await http.get("/api/v1/trending", params={"category": "motivation"})).json()
    assert ids(everything) == [2, 3, 1]
    assert [post["score"] for post in everything["posts"]] == [pytest.approx(score, rel=1e-3) for score in (9, 5, 1)]
    assert (ids(some), some["total"], some["has_next"]) == ([1], 2, False)
    assert ids(lower) == [3, 1], "a category is named in any case"


async def test_what_is_similar_is_alike_enough() -> None:
    async with (await a_world()).http() as http:
        body = (await http.get("/api/v1/similar/1")).json()
        unknown = await http.get("/api/v1/similar/99")
        none = await http.get("/api/v1/similar/abc")
    async with (await a_world()).http(similarity_threshold=0.6) as http:
        stricter = (await http.get("/api/v1/similar/1")).json()
    assert [(post["post_id"], post["score"]) for post in body["posts"]] == [(3, 0.5)]
    assert stricter["posts"] == []
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_item")
    assert (none.status_code, none.json()["error"]["field"]) == (422, "post_id")


@pytest.mark.parametrize(
    ("text", "value", "action"),
    [("like", 1.0, "like"), ("inspire", None, "inspired"), ("rating", 4.0, "rate"), ("view", 0.5, "view")],
)
async def test_an_interaction_with_a_post_is_published(text: str, value: float | None, action: str) -> None:
    world = World()
    fields = {"username": "user123", "post_id": 1234, "interaction_type": text, "interaction_value": value}
    async with world.http() as http:
        answer = await http.post("/api/v1/interaction", json=fields)
    [event] = world.publisher.values_of(INTERACTIONS)
    assert (answer.status_code, answer.json()["status"]) == (200, "success")
    assert answer.json()["event_id"] == event.event_id
    assert (event.user_id, event.item_id, event.action, event.value) == ("user123", "post-1234", action, value)


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("feed", {}, "username"),
        ("feed", {"username": ""}, "username"),
        ("feed", {"username": "ann", "page": 0}, "page"),
        ("feed", {"username": "ann", "page_size": 0}, "page_size"),
        ("feed/category", {"username": "ann"}, "project_code"),
        ("trending", {"page": "x"}, "page"),
        ("trending", {"category": "a\0b"}, "category"),
        ("similar/" + "9" * 5_000, {}, "post_id"),
    ],
)
async def test_bad_parameters_are_named(path: str, params: dict[str, Any], field: str) -> None:
    async with World().http() as http:
        answer = await http.get(f"/api/v1/{path}", params=params)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_who_shows_a_token_asks_for_themselves_only() -> None:
    secret = "a secret of thirty-two characters and more"
    token = jwt.encode({"sub": "ann", "exp": time.time() + 3_600}, secret, "HS256")
    world = await a_world(feed=["post-1"])
    async with world.http(environment="production", jwt_secret=secret, api_rerank_timeout_s=0.02) as http:
        http.headers["Authorization"] = f"Bearer {token}"
        fields = {"post_id": 1, "interaction_type": "like"}
        own = [
            await http.get("/api/v1/feed?username=ann"),
            await http.get("/api/v1/similar/1?username=ann"),
            await http.post("/api/v1/interaction", json={"username": "ann", **fields}),
        ]
        others = [
            await http.get("/api/v1/feed?username=bob"),
            await http.get("/api/v1/similar/1?username=bob"),
            await http.post("/api/v1/interaction", json={"username": "bob", **fields}),
        ]
    assert [answer.status_code for answer in own] == [200] * 3
    assert [answer.status_code for answer in others] == [403] * 3
