"""The documents' endpoints on the whole pipeline: what is published becomes what is read."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from infra.address import Addresses
from infra.fakes.fake_socialverse import FakeSocialverse
from infra.postgres.pool import connect
from tests.build import an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import ITEMS

TOKEN = "secret"
Post = Callable[..., Awaitable[Any]]
Get = Callable[[str], Coroutine[Any, Any, Any]]


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        articles = [an_item(f"i{n}", category="articles", topics=["ai" if n % 2 else "garden"]) for n in range(6)]
        await pipeline.publish(ITEMS, articles)
        yield pipeline


@pytest.fixture
async def external(unused_tcp_port_factory: Callable[[], int]) -> AsyncIterator[dict[str, str]]:
    """Settings for an external API of six posts and two who looked at them, and a port for metrics."""
    ports = {"METRICS_PORT": str(unused_tcp_port_factory())}
    double = FakeSocialverse(token=TOKEN)
    kinds = ("Motivation", "Comedy")
    double.lists["all-posts"] = [
        {"id": n, "title": f"Post {kinds[n % 2]}", "category": {"name": kinds[n % 2]}, "created_at": 1_700_000_000}
        for n in range(6)
    ]
    double.lists["all-users"] = [{"id": 7, "username": "kim"}]
    views = [(1, 7, 0), (2, 7, 2), (3, 9, 2)]
    double.lists["liked-posts"] = [
        {"id": number, "user_id": user, "post_id": post, "liked_at": "2023-11-14 10:00:00"}
        for number, user, post in views
    ]
    async with double.serve() as address:
        yield {"FLIC_TOKEN": TOKEN, "API_BASE_URL": address, "COLLECT_REQUESTS_PER_S": "100"} | ports


@pytest.fixture
async def api(pipeline: Pipeline, external: dict[str, str], unused_tcp_port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API."""
    url = await pipeline.start_api(unused_tcp_port, **external)
    await pipeline.start("feed,log,archive,collect", **external)
    async with httpx.AsyncClient(base_url=url, timeout=30, headers={"Flic-Token": TOKEN}) as http:
        yield http


async def test_what_the_documents_publish_becomes_what_they_read(
    api: httpx.AsyncClient, pipeline: Pipeline, external: dict[str, str]
) -> None:
    async def post(path: str, body: dict[str, Any] | None = None) -> Any:
        answer = await api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def get(path: str) -> Any:
        answer = await api.get(path)
        return answer.json() if answer.is_success else None

    await personalizes(post, get)
    await caches(post, get)
    await keeps_recommendations(get, pipeline)
    await personalizes_unlisted_articles(post, get)
    metrics = await api.get(f"http://127.0.0.1:{external['METRICS_PORT']}/metrics")
    assert "personalization_recommendations_total" in metrics.text
    assert (await api.get("/health/ready")).json() == {"status": "ready", "unavailable": []}
    await collects(post, get)
    status, out, output = await pipeline.millrace("collect", "liked-posts", "--json", **external)
    assert status == 0, output
    again = msgspec.json.decode(out)
    assert (status, again["state"], again["published"], again["repeated"]) == (0, "done", 0, 3)


async def personalizes(post: Post, get: Get) -> None:
    """Hold the personalization service's endpoints against what they promise."""

    like = {"user_id": "ann", "item_id": "i1", "interaction_type": "like"}
    await post("/interaction", like)
    arms = [{"name": "as it is"}, {"name": "new"}]
    experiment = await post("/ab/experiments", {"name": "More of what is new", "arms": arms})

    async def listed() -> Any:
        return (await get("/ab/experiments"))["experiments"]

    profile = await until(lambda: get("/profile/ann"), what="the profile")
    assert (profile["interactions"], profile["preferences"]["topics"]) == ({"like": 1}, {"ai": 1.0})
    assert await until(listed, what="the experiment") == [experiment]
    candidates = [
        {"id": "new1", "title": "Roses in winter", "topics": ["roses"]},
        {"id": "new2", "title": "Trends in learning", "topics": ["ai"]},
    ]
    ranking = await post("/personalize", {"user_id": "ann", "candidates": candidates})
    assert [one["id"] for one in ranking["recommendations"]] == ["new2", "new1"]
    assert ranking["recommendations"][0]["reason"] in ("You like ai", "Like what you liked")

    async def personalized(**request: Any) -> dict[str, str]:
        answer = await post("/personalize", {"user_id": "ann"} | request)
        return {one["id"]: one["reason"] for one in answer["recommendations"]}

    assert (await personalized(candidates=candidates, context={"season": "roses"}))["new1"] == "You asked for roses"
    candidates.append({"id": "new3", "title": "Trends in machine learning", "topics": ["ai"]})
    diversity = {"enable_diversity": True, "topic_diversity_threshold": 1.0, "max_results": 2}
    assert "new1" in await personalized(candidates=candidates, diversity_params=diversity)
    assert "new1" not in await personalized(
        candidates=candidates, diversity_params=diversity | {"enable_diversity": False}
    )


async def caches(post: Post, get: Get) -> None:
    """Hold Context IQ's `cached` against what it promises."""
    recommendations, profile = "/api/v1/recommendations?user_id=zoe", "/api/v1/user-profile/zoe"
    stranger = await until(lambda: get(recommendations), what="everyone's feed")
    assert (stranger["cached"], await get(profile)) == (False, None)

    async def contained(count: int) -> bool | None:
        answer, summary = await get(recommendations), await get(profile)
        scores = [one["combined_score"] for one in answer["recommendations"]]
        assert scores == sorted(scores, reverse=True)
        if summary is None or not summary["cached"] or not answer["cached"]:
            return None
        assert summary["total_interactions"] == count, "cached is false until the interaction counts"
        return True

    for count, interaction in enumerate(("view", "like", "save"), start=1):
        await post("/api/v1/interact", {"user_id": "zoe", "content_id": f"i{count}", "interaction_type": interaction})
        await until(partial(contained, count), what="what contains the interaction")


async def keeps_recommendations(get: Get, pipeline: Pipeline) -> None:
    """Hold the archive's table of recommendations against what the API answers."""
    connection = await connect(pipeline.addresses.database_url)

    async def scores() -> Any:
        rows = await connection.fetch("SELECT content_id, combined_score FROM recommendations WHERE user_id = 'zoe'")
        answer = (await get("/api/v1/recommendations?user_id=zoe&limit=50"))["recommendations"]
        expected = {one["content_id"]: one["combined_score"] for one in answer}
        stored_scores = {row["content_id"]: pytest.approx(row["combined_score"], abs=1e-4) for row in rows}
        return expected and stored_scores == expected

    try:
        await until(scores, what="the recommendations in the archive")
    finally:
        await connection.close()


async def personalizes_unlisted_articles(post: Post, get: Get) -> None:
    """Have articles ranked that no catalogue holds, by what interactions say of them."""
    for device_type, topics in (("mobile", ["news", "politics"]), ("tv", ["films", "drama"])):
        click = {"user_id": "ben", "item_id": topics[0], "interaction_type": "click", "rating": 5}
        await post("/interaction", click | {"context": {"topics": topics}, "device_type": device_type})
    for user_id in ("cleo", "dan", "eve"):
        await post("/interaction", {"user_id": user_id, "item_id": "artP", "interaction_type": "click"})

    async def topics_of_ben() -> Any:
        profile = await get("/profile/ben") or {"total_interactions": 0}
        return profile["total_interactions"] == 2 and set(profile["preferences"]["topics"])

    async def ranked(user_id: str, *candidates: dict[str, Any], **context: str) -> list[str]:
        body = await post("/personalize", {"user_id": user_id, "candidates": candidates, "context": context})
        return [one["id"] for one in body["recommendations"]]

    async def popular_first() -> Any:
        return await ranked("stranger", {"id": "artQ"}, {"id": "artP"}) == ["artP", "artQ"]

    assert await until(topics_of_ben, what="the profile") == {"news", "politics", "films", "drama"}
    candidates = [{"id": "unseen1", "topics": ["news"]}, {"id": "unseen2", "topics": ["films"]}]
    assert await ranked("ben", *candidates, device_type="Mobile") == ["unseen1", "unseen2"]
    assert await ranked("ben", *candidates, device_type="TV") == ["unseen2", "unseen1"]
    await until(popular_first, what="the popularity")
    answer = await post("/personalize", {"user_id": "ben", "context": {"device_type": "tv"}})
    assert {one["id"] for one in answer["recommendations"]} == {f"i{number}" for number in range(6)}


async def collects(post: Post, get: Get) -> None:
    """Hold the video engine's endpoints against what they promise."""
    await post("/api/v1/collect/all-posts?page_size=4")
    await post("/api/v1/collect/liked-posts")

    async def done() -> Any:
        collections = (await get("/api/v1/collection-status"))["collections"]
        return collections if collections["liked-posts"]["state"] == "done" else None

    async def posts_of(path: str) -> list[int]:
        return [one["post_id"] for one in (await get(path) or {"posts": []})["posts"]]

    async def trending() -> Any:
        return await posts_of("/api/v1/trending?category=Motivation") == [2, 0]

    async def whole() -> Any:
        return await posts_of("/api/v1/feed?username=kim&category=Comedy") or None

    async def similar() -> Any:
        return set((await posts_of("/api/v1/similar/2"))[:2]) == {0, 4}

    collections = await until(done, what="the collections")
    assert [collections[name]["published"] for name in ("all-posts", "all-users", "liked-posts")] == [6, 1, 3]
    await until(trending, what="the trend")
    assert set(await until(whole, what="the feed")) == {1, 3, 5}
    await until(similar, what="what is similar")
    profile = await until(lambda: get("/profile/kim"), what="the profile of a collected user")
    assert profile["interactions"] == {"like": 2}
