"""Results by category, each thing once; lists that a worker puts in order, or does not."""

import asyncio
from typing import Any

import httpx
import pytest

from infra.redis.stores.feed_store import DEFAULT_FEED, reranked
from tests.build import T0_MS, a_feed, an_item
from tests.unit.api.builder import NOW_MS, World, published
from topics.topic import TRIGGERS


async def a_world(*items: Any) -> World:
    """Return a world whose user u1 has these items in the feed, best first."""
    world, count = World(), len(items)
    feed = a_feed(
        items=[item.item_id for item in items],
        scores=[1.0 - n / count for n in range(count)],
        sources=["trending"] * count,
        reasons=["Trending now"] * count,
        parts={},
    )
    await world.items.write(items)
    await world.feeds.write([feed])
    return world


async def results(world: World, **params: Any) -> dict[str, list[tuple[str, list[str]]]]:
    async with world.http() as http:
        answer = await http.get("/results/u1", params=params)
    assert answer.status_code == 200, answer.text
    return {
        group["category"]: [(item["item_id"], item["also"]) for item in group["items"]]
        for group in answer.json()["categories"]
    }


async def test_results_are_the_feed_by_category_best_first() -> None:
    world = await a_world(an_item("i1"), an_item("i2", category="places"), an_item("i3"), an_item("i4"))
    assert await results(world) == {"music": [("i1", []), ("i3", []), ("i4", [])], "places": [("i2", [])]}
    assert await results(world, limit=1) == {"music": [("i1", [])], "places": [("i2", [])]}


async def test_one_thing_under_several_names_and_sources_is_one_result() -> None:
    world = await a_world(
        an_item("i1", title="Jazz Night at the Blue Note!", city="New York", source="city-guide"),
        an_item("i2", title="Another"),
        an_item("i3", title="The jazz night at the Blue Note", source="llm"),
        an_item("i4", title="Jazz night at the blue note", city="Tokyo"),
        an_item("i5", title="Blue Note tonight", url="https://a.example/1"),
        an_item("i6", title="Tonight, again", url="https://a.example/1"),
        an_item("i7", title="Another", category="movies"),
        an_item("i8", title="Alien", category="movies", attributes={"year": "1979"}),
        an_item("i9", title="Alien (2003)", category="movies"),
    )
    assert await results(world) == {
        "music": [("i1", ["i3"]), ("i2", []), ("i4", []), ("i5", ["i6"])],
        "movies": [("i7", []), ("i8", []), ("i9", [])],
    }


async def test_results_say_of_which_feed_they_are_and_leave_out_what_is_gone() -> None:
    world = await a_world(an_item("i1"), an_item("i2"))
    await world.items.delete(["i1"])
    async with world.http() as http:
        body = (await http.get("/results/u1")).json()
    [group] = body.pop("categories")
    assert body.pop("version").startswith(f"5-{T0_MS + 500}-")
    assert body == {
        "user_id": "u1",
        "generated_at": T0_MS + 500,
        "age_ms": 1_500,
        "watermark": T0_MS,
        "model": "blend-1",
        "fallback": False,
    }
    [item] = group["items"]
    assert (item["item_id"], item["score"], item["reason"]) == ("i2", 0.5, "Trending now")
    assert item["item"]["title"] == "Title of i2"


async def test_results_of_who_has_no_feed_are_everyones_or_404() -> None:
    world = World()
    async with world.http() as http:
        missing = await http.get("/results/ann")
        await world.feeds.write([a_feed(user_id=DEFAULT_FEED)])
        fallback = await http.get("/results/ann")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_feed")
    assert fallback.json()["fallback"] is True


async def asked(world: World, http: httpx.AsyncClient, **body: Any) -> tuple[Any, asyncio.Task[httpx.Response]]:
    """Ask for a re-rank and return its trigger once it is published."""
    asking = asyncio.create_task(http.post("/results/re-rank", json={"user_id": "ann"} | body))
    triggers = await published(world, TRIGGERS, asking)
    return triggers[-1], asking


async def test_rerank_has_a_worker_rank_and_answers_with_what_it_leaves() -> None:
    world = World()
    await world.items.write([an_item("i2")])
    await world.feeds.write([a_feed(user_id="ann", items=["i9", "i8", "i7"])])
    before = await world.feeds.read(["ann"])
    async with world.http() as http:
        trigger, asking = await asked(world, http, candidates=["i1", "i2", "i1", "i3"])
        assert (trigger.kind, trigger.user_id, trigger.candidates) == ("rerank", "ann", ["i1", "i2", "i3"])
        assert trigger.occurred_at == NOW_MS
        await world.feeds.write([a_feed(user_id=reranked(trigger), items=["i3", "i2", "i1"])])
        answer = await asking
    body = answer.json()
    assert (answer.status_code, body["user_id"], body["event_id"]) == (200, "ann", trigger.event_id)
    assert [(item["item_id"], item["item"] and item["item"]["title"]) for item in body["items"]] == [
        ("i3", None),
        ("i2", "Title of i2"),
        ("i1", None),
    ]
    assert await world.feeds.read(["ann"]) == before


async def test_rerank_that_nobody_answers_is_504_in_time_and_the_answer_is_found_later() -> None:
    world = World()
    fields = {"user_id": "ann", "candidates": ["i1"], "event_id": "mine"}
    async with world.http(api_rerank_timeout_s=0.02) as http:
        late = await http.post("/results/re-rank", json=fields)
        [trigger] = world.publisher.values_of(TRIGGERS)
        await world.feeds.write([a_feed(user_id=reranked(trigger))])
        again = await http.post("/results/re-rank", json=fields)
        others = await http.post("/results/re-rank", json=fields | {"user_id": "bob"})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "not_in_time")
    assert [item["item_id"] for item in again.json()["items"]] == ["i1", "i2", "i3"]
    assert others.status_code == 504, "an answer is its user's alone"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"candidates": []}, "candidates"),
        ({"candidates": ["i"] * 4}, "candidates"),
        ({"candidates": ["i1", ""]}, "candidates"),
        ({}, "candidates"),
        ({"candidates": ["i1"], "user_id": "~everyone"}, "user_id"),
    ],
)
async def test_rerank_takes_so_many_candidates_and_no_more(body: dict[str, Any], field: str) -> None:
    world = World()
    async with world.http(api_max_candidates=3) as http:
        answer = await http.post("/results/re-rank", json={"user_id": "ann"} | body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert not world.publisher.records_by_topic


async def test_rerank_is_refused_when_enough_wait_already() -> None:
    world = World()
    async with world.http(api_max_listeners=1) as http:
        trigger, asking = await asked(world, http, candidates=["i1"])
        refusal = await http.post("/results/re-rank", json={"user_id": "bob", "candidates": ["i1"]})
        await world.feeds.write([a_feed(user_id=reranked(trigger))])
        answer = await asking
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (503, "too_many_waiting")
    assert answer.status_code == 200


async def test_rerank_with_the_broker_away_is_503() -> None:
    world = World()
    world.publisher.is_unavailable = True
    async with world.http() as http:
        answer = await http.post("/results/re-rank", json={"user_id": "ann", "candidates": ["i1"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "broker_away")
