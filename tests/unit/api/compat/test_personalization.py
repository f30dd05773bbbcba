"""The personalization service's endpoints: what it is sent, what it is answered."""

import asyncio
from typing import Any

import msgspec
import pytest

from api.endpoints.metrics import ActiveUserCounter
from infra.redis.stores.feed_store import reranked
from infra.redis.stores.model_status import SERVING, LiveModel, MemoryModelStatusStore, ModelStatus
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from schemas.types import RecentItem
from streams.core.triggers.list_request import requests_list
from tests.build import T0_MS, a_feed, a_profile, a_version, an_item, features
from tests.unit.api.builder import World, published
from topics.topic import INTERACTIONS, TRIGGERS

ARTICLE = {
    "id": "article1",
    "title": "Machine Learning Trends",
    "content": "Latest trends in ML...",
    "topics": ["technology", "ai"],
    "source": "tech-news",
}


async def personalized(world: World, settings: dict[str, Any] | None = None, **body: Any) -> tuple[Any, Any]:
    """Return the trigger of a request and what is answered once a worker has put the candidates the other way round."""
    async with world.http(**(settings or {})) as http:
        asking = asyncio.create_task(http.post("/personalize", json={"user_id": "ann", **body}))
        [trigger] = await published(world, TRIGGERS, asking)
        names = trigger.candidates[::-1]
        count = len(names)
        parts = {"affinity": [0.25] * count, "content": [0.25] * count, "fresh": [0.0] * count}
        feed = a_feed(
            user_id=reranked(trigger),
            items=names,
            scores=[0.5] * count,
            sources=["affinity"] * count,
            reasons=["You like ai"] * count,
            parts=parts,
        )
        await world.feeds.write([feed])
        response = await asking
        assert response.status_code == 200, response.text
        return trigger, response.json()


async def test_candidates_never_seen_are_ranked_by_a_worker_by_what_is_said_of_them() -> None:
    context = {"device_type": "mobile", "visits": 3}
    trigger, body = await personalized(World(), candidates=[ARTICLE], context=context)
    assert (trigger.kind, trigger.candidates, trigger.context) == ("rerank", ["article1"], {**context, "visits": "3"})
    [candidate] = trigger.described
    assert (candidate.title, candidate.text, candidate.topics, candidate.source) == (
        *(ARTICLE["title"], ARTICLE["content"]),
        *(ARTICLE["topics"], ARTICLE["source"]),
    )
    assert (body["user_id"], body["count"], body["event_id"]) == ("ann", 1, trigger.event_id)
    assert body["recommendations"] == [
        {
            **{name: ARTICLE[name] for name in ("id", "title", "topics", "source")},
            "score": 0.5,
            "reason": "You like ai",
            "algorithm": "affinity",
            "parts": {"affinity": 0.25, "content": 0.25},
        }
    ]


@pytest.mark.parametrize(
    ("params", "distance"),
    [
        ({}, 0.3),
        ({"enable_diversity": True, "topic_diversity_threshold": 0.6}, 0.6),
        ({"enable_diversity": False, "topic_diversity_threshold": 0.6}, 0.0),
    ],
)
async def test_diversity_is_as_asked_for_or_as_set(params: dict[str, Any], distance: float) -> None:
    trigger, _ = await personalized(World(), candidates=[ARTICLE], diversity_params=params)
    assert trigger.topic_distance == distance


async def test_diversity_that_nobody_asks_for_is_as_set() -> None:
    trigger, _ = await personalized(World(), {"diversity_threshold": 0.8}, candidates=[ARTICLE])
    assert trigger.topic_distance == 0.8


async def test_results_are_ten_or_as_many_as_asked_for() -> None:
    many = [{"id": f"a{n}"} for n in range(12)]
    _, body = await personalized(World(), candidates=many)
    assert [one["id"] for one in body["recommendations"]] == [f"a{n}" for n in range(11, 1, -1)]
    _, body = await personalized(World(), candidates=many, diversity_params={"max_results": 2})
    assert body["count"] == len(body["recommendations"]) == 2


@pytest.mark.parametrize(
    "terms",
    [
        {"context": {"device_type": "mobile"}},
        {"diversity_params": {"topic_diversity_threshold": 0.6}},
        {"diversity_params": {"enable_diversity": False}},
    ],
)
async def test_without_candidates_the_catalogue_is_ranked_in_the_context(terms: dict[str, Any]) -> None:
    world = World()
    await world.items.write([an_item("i1")])
    await world.feeds.write([a_feed(user_id="ann")])
    async with world.http() as http:
        asking = asyncio.create_task(http.post("/personalize", json={"user_id": "ann", **terms}))
        [trigger] = await published(world, TRIGGERS, asking)
        assert (trigger.kind, trigger.candidates, trigger.context) == ("rerank", [], terms.get("context", {}))
        assert requests_list(trigger)
        feed = a_feed(user_id=reranked(trigger), items=["i1"], scores=[1.0], sources=["situation"], reasons=["r"])
        await world.feeds.write([msgspec.structs.replace(feed, parts={"situation": [1.0]})])
        body = (await asking).json()
    [recommendation] = body["recommendations"]
    assert (recommendation["id"], recommendation["title"]) == ("i1", "Title of i1")
    assert body["event_id"] == trigger.event_id


async def test_without_candidates_the_feed_is_what_is_recommended() -> None:
    world = World()
    await world.items.write([an_item("i1"), an_item("i2"), an_item("i3")])
    await world.feeds.write([a_feed(user_id="ann")])
    async with world.http() as http:
        body = (await http.post("/personalize", json={"user_id": "ann"})).json()
    assert [one["id"] for one in body["recommendations"]] == ["i1", "i2", "i3"]
    assert (body["recommendations"][0]["title"], body["recommendations"][0]["topics"]) == ("Title of i1", ["jazz"])
    assert body["event_id"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"candidates": [{"title": "no id"}]}, "candidates[0].id"),
        ({"candidates": [{"id": ""}]}, "candidates[0].id"),
        ({"candidates": [{"id": "a", "title": "t" * 1_025}]}, "candidates[0].title"),
        ({"candidates": [{"id": f"a{n}"} for n in range(501)]}, "candidates"),
        ({"candidates": [ARTICLE], "diversity_params": {"max_results": 0}}, "diversity_params.max_results"),
        (
            {"candidates": [ARTICLE], "diversity_params": {"topic_diversity_threshold": 1.5}},
            "diversity_params.topic_diversity_threshold",
        ),
        ({"candidates": [ARTICLE], "user_id": ""}, "user_id"),
    ],
)
async def test_bad_requests_are_named_and_publish_nothing(body: dict[str, Any], field: str) -> None:
    world = World()
    async with world.http() as http:
        answer = await http.post("/personalize", json={"user_id": "ann", **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)
    assert not world.publisher.records_by_topic


async def test_candidates_that_no_message_has_room_for_are_refused() -> None:
    world, topics = World(), [f"{n:0200}" for n in range(9)]
    async with world.http(api_max_body_bytes=4 << 20) as http:
        many = [{"id": f"{n:0200}", "title": "t" * 300, "topics": topics} for n in range(500)]
        answer = await http.post("/personalize", json={"user_id": "ann", "candidates": many})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert not world.publisher.records_by_topic


async def test_an_interaction_may_say_its_type_rating_and_device() -> None:
    world = World()
    fields = {
        "user_id": "user123",
        "item_id": "article1",
        "interaction_type": "click",
        "rating": 4.5,
        "context": {"topics": ["technology", "ai"], "source": "tech-news"},
        "session_id": "session456",
        "device_type": "mobile",
    }
    async with world.http() as http:
        answer = await http.post("/interaction", json=fields)
        missing = await http.post("/interaction", json={"user_id": "u", "item_id": "i"})
    assert answer.status_code == 202
    [event] = world.publisher.values_of(INTERACTIONS)
    assert (event.action, event.value, event.session_id) == ("click", 4.5, "session456")
    labels = {"topics": '["technology","ai"]', "source": "tech-news"}
    assert event.context == {"device_type": "mobile", **labels, "rating": "4.5"}
    assert (missing.status_code, missing.json()["error"]["field"]) == (422, "action")


async def test_a_profile_shows_the_stated_and_the_inferred_profile() -> None:
    portraits = MemoryUserProfileStore()
    recent = [RecentItem(item_id="i1", weight=1.0, at=T0_MS)]
    user_features = features(
        topics={"ai": 4.0, "art": -1.0}, counts={"click": 2}, event_count=2, recent=recent, queries=["jazz"]
    )
    await portraits.write_inferred([user_features])
    await portraits.write_stated([a_profile(segment="students", categories=["music"], city="Lisbon")])
    async with World(clients={"user_profiles": portraits}).http() as http:
        body = (await http.get("/profile/u1")).json()
        unknown = await http.get("/profile/nobody")
    assert (body["user_id"], body["segment"], body["updated_at"]) == ("u1", "students", T0_MS)
    assert (body["stated"]["categories"], body["stated"]["city"]) == (["music"], "Lisbon")
    assert body["preferences"]["topics"] == {"ai": 1.0, "art": -0.25}
    assert (body["total_interactions"], body["interactions"], body["searches"]) == (2, {"click": 2}, ["jazz"])
    assert body["recent"] == [{"item_id": "i1", "weight": 1.0, "at": T0_MS}]
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_user")


async def test_evaluation_reports_the_metrics_of_the_version_in_service() -> None:
    boards = MemoryModelStatusStore()
    old = a_version(version="v0", status="replaced", metrics={"ndcg@10": 0.1})
    new = a_version(status=SERVING, metrics={"ndcg@10": 0.2}, events=7)
    await boards.write(
        ModelStatus(serving="v1", versions=[new, old], live=LiveModel(version="v1.3", events=5, outcomes=2))
    )
    async with World(clients={"model_status": boards}).http() as http:
        body = (await http.get("/evaluation/metrics")).json()
    async with World().http() as http:
        empty = (await http.get("/evaluation/metrics")).json()
    assert (body["offline"]["version"], body["offline"]["metrics"]) == ("v1", {"ndcg@10": 0.2})
    assert (body["online"]["events"], body["online"]["outcomes"]) == (5, 2)
    assert [one["version"] for one in body["history"]] == ["v1", "v0"]
    assert (empty["offline"], empty["history"]) == (None, [])


async def test_requests_recommendations_and_active_users_are_measured() -> None:
    world = World()
    await world.items.write([an_item("i1"), an_item("i2"), an_item("i3")])
    await world.feeds.write([a_feed(user_id="ann"), a_feed(user_id="bob")])
    async with world.http() as http:
        for name in ("ann", "bob", "ann"):
            await http.post("/personalize", json={"user_id": name})
        metrics = dict(line.rsplit(" ", 1) for line in (await http.get("/metrics")).text.splitlines() if line[0] != "#")
    assert metrics["personalization_requests_total"] == "3.0"
    assert metrics["personalization_request_duration_seconds_count"] == "3.0"
    assert metrics["personalization_recommendations_total"] == "9.0"
    assert metrics["personalization_active_users"] == "2.0"


def test_who_was_not_seen_for_five_minutes_is_not_active() -> None:
    now_s = 0.0
    active = ActiveUserCounter(clock_s=lambda: now_s)
    for at_s, name in ((0.0, "ann"), (100.0, "bob"), (200.0, "ann")):
        now_s = at_s
        active.add(name)
    now_s = 450.0
    assert active.count() == 1
