"""Every example of the products' documents, run against our address: the same paths, bodies, code, and keys of answers.

Copied as they are written there, but for what stands for something: names in braces, and dots that leave something out.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import msgspec
import pytest

from api.app import create_app
from api.context import Clients
from infra.fakes.memory_publisher import MemoryPublisher
from infra.fakes.serve import serve_app
from infra.postgres.catalog_filter import MemoryCatalogListing
from infra.redis.stores.chart_store import MemoryChartStore
from infra.redis.stores.feed_store import MemoryFeedStore, reranked
from infra.redis.stores.item_store import MemoryItemStore
from infra.redis.stores.prefetch_store import MemoryPrefetchStore, PrefetchQuestion
from infra.redis.stores.push_store import MemoryPushStore
from infra.redis.stores.user_profile_store import MemoryUserProfileStore
from infra.settings import Settings
from schemas.types import Devices, Interaction, PushPreferences, Trigger
from tests.build import a_feed, an_interaction, an_item, features
from topics import Topic
from topics.topic import INTERACTIONS, TRIGGERS

TOKEN, ADMIN = "flic", "admin"
THEIRS = "http://localhost:8000"

PERSONALIZE = """
import requests

# Personalize content for a user
response = requests.post("http://localhost:8000/personalize", json={
    "user_id": "user123",
    "candidates": [
        {
            "id": "article1",
            "title": "Machine Learning Trends",
            "content": "Latest trends in ML...",
            "topics": ["technology", "ai"],
            "source": "tech-news"
        }
    ],
    "context": {
        "device_type": "mobile",
        "time_of_day": "morning",
        "location": "US"
    },
    "diversity_params": {
        "enable_diversity": True,
        "topic_diversity_threshold": 0.3,
        "max_results": 10
    }
})

recommendations = response.json()
"""
RECORD = """
import requests

# Record user interaction
interaction = {
    "user_id": "user123",
    "item_id": "article1",
    "interaction_type": "click",
    "rating": 4.5,
    "context": {
        "topics": ["technology", "ai"],
        "source": "tech-news"
    },
    "session_id": "session456",
    "device_type": "mobile"
}

response = requests.post("http://localhost:8000/interaction", json=interaction)
"""

PERSONALIZATION = (
    "GET /profile/user123",
    "GET /health",
    "GET /metrics",
    "GET /metrics/models",
    "POST /retrain",
    "GET /ab/experiments",
    "GET /evaluation/metrics",
    "GET /docs",
)
VIDEO = (
    "GET /api/v1/feed?username=user123&page=1&page_size=20",
    "GET /api/v1/feed/category?username=user123&project_code=flic",
    "GET /api/v1/trending?page=1&page_size=20&category=Motivation",
    "GET /api/v1/similar/1234?username=user123&page=1&page_size=20",
    """POST /api/v1/interaction

{
  "username": "user123",
  "post_id": 1234,
  "interaction_type": "like",
  "interaction_value": 1.0
}""",
    *(
        f"POST /api/v1/collect/{name}?page=1&page_size=1000"
        for name in ("viewed-posts", "liked-posts", "inspired-posts", "rated-posts", "all-posts", "all-users")
    ),
    "GET /api/v1/collection-status",
    "GET /docs",
    "GET /redoc",
)
CONTEXT_IQ: tuple[tuple[str, str], ...] = (
    (
        "GET /api/v1/health",
        """{
  "status": "healthy",
  "version": "1.0.0",
  "services": {
    "database": true,
    "redis": true,
    "kafka": true,
    "bedrock": false
  }
}""",
    ),
    (
        """POST /api/v1/interact
Content-Type: application/json

{
  "user_id": "user123",
  "content_id": "article_abc",
  "interaction_type": "view",
  "duration_seconds": 120,
  "metadata": {
    "source": "homepage",
    "device": "mobile"
  }
}""",
        """{
  "status": "success",
  "message": "Interaction recorded and queued for processing"
}""",
    ),
    (
        """POST /api/v1/interact

{
  "user_id": "user123",
  "content_id": "article_456",
  "interaction_type": "view",
  "duration_seconds": 45,
  "metadata": {"source": "homepage"}
}""",
        '{"status": "success"}',
    ),
    (
        "GET /api/v1/recommendations?user_id=user123&limit=10",
        """{
  "user_id": "user123",
  "recommendations": [
    {
      "content_id": "article_xyz",
      "title": "Intro to Machine Learning",
      "category": "technology",
      "ml_score": 0.87,
      "llm_score": 0.92,
      "combined_score": 0.88
    }
  ],
  "cached": false,
  "timestamp": "2024-01-15T10:30:45.123Z"
}""",
    ),
    (
        "GET /api/v1/user-profile/user123",
        """{
  "user_id": "user123",
  "total_interactions": 45,
  "interaction_breakdown": {
    "view": 30,
    "like": 10,
    "save": 5
  },
  "top_categories": [
    {"category": "technology", "count": 15},
    {"category": "business", "count": 12}
  ],
  "cached": true
}""",
    ),
    (
        "GET /api/v1/content?category=technology&limit=50",
        """{
  "content": [
    {
      "content_id": "content_123",
      "title": "Python Best Practices",
      "category": "technology",
      "description": "..."
    }
  ],
  "count": 25
}""",
    ),
)
CURL = "curl http://localhost:8000/api/v1/health"
CONTENT_ENGINE = (
    "GET /content?user_id=user123",
    'POST /interaction\n\n{"user_id": "user123", "item_id": "jazz-night", "action": "click"}',
    'POST /retrieve\n\n{"user_id": "user123"}',
    'POST /notifications/send\n\n{"user_id": "user123", "title": "Tonight only: Jazz night at Blue Note"}',
    'POST /retrieve/batch\n\n{"user_ids": ["user123", "alex"]}',
    "GET /results/user123",
    'POST /results/re-rank\n\n{"user_id": "user123", "candidates": ["jazz-night", "article_xyz"]}',
    'POST /interaction/batch\n\n{"interactions": [{"user_id": "user123", "item_id": "jazz-night", "action": "view"}]}',
    "GET /interaction/user123",
    "GET /interaction/aggregate/user123",
    'POST /push/send\n\n{"user_id": "user123", "title": "Saturday cooking masterclass with Chef X"}',
    'POST /push/batch\n\n{"user_ids": ["user123", "alex"], "title": "Jazz night"}',
    'POST /push/register\n\n{"user_id": "user123", "token": "device", "platform": "web"}',
    "GET /push/preferences/user123",
    "GET /prompts/user123",
    "GET /health",
    "GET /metrics",
    "POST /admin/cache/clear/user123",
    "GET /admin/cache/view/user123",
)


class Worker(MemoryPublisher):
    """Takes what is published, and ranks what is asked for as it was given."""

    def __init__(self, feeds: MemoryFeedStore) -> None:
        super().__init__()
        self._feeds = feeds

    async def publish(self, topic: Topic, values: Sequence[msgspec.Struct]) -> dict[int, int]:
        """Keep the values, and answer those that ask for a ranking."""
        offsets = await super().publish(topic, values)
        for value in values:
            if isinstance(value, Trigger) and value.kind == "rerank":
                items, count = value.candidates, len(value.candidates)
                fields: dict[str, Any] = {"sources": ["affinity"] * count, "reasons": ["You like ai"] * count}
                feed = a_feed(user_id=reranked(value), items=items, scores=[0.5] * count, parts={}, **fields)
                await self._feeds.write([feed])
        return offsets


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[str, Worker]]:
    """Our address, and what was published there; the catalogue and the people of the documents are known."""
    items = [
        an_item("article_xyz", title="Intro to Machine Learning", category="technology"),
        an_item("post-1234", category="Motivation", attributes={"project_code": "flic"}),
        an_item("jazz-night"),
    ]
    events: list[Interaction] = [an_interaction(user_id="user123", item_id=item.item_id) for item in items]
    feeds, store, portraits, charts = MemoryFeedStore(), MemoryItemStore(), MemoryUserProfileStore(), MemoryChartStore()
    await store.write(items)
    scores = {"ml_scores": [0.87, 0.5, 0.1], "llm_scores": {"article_xyz": 0.92}}
    await feeds.write([a_feed(user_id="user123", items=[item.item_id for item in items], **scores)])
    counts = {"view": 30, "like": 10, "save": 5}
    await portraits.write_inferred([features(user_id="user123", event_count=45, counts=counts)])
    await charts.write({"post-1234": 1.0}, {"post-1234": "Motivation"})

    async def up() -> None:
        return

    worker = Worker(feeds)
    pushes, prefetch_store = MemoryPushStore(), MemoryPrefetchStore()
    await pushes.write_devices([Devices(user_id="user123", devices=[], preferences=PushPreferences(), changed_at=0)])
    question = PrefetchQuestion(category="music", prompt_version="1", system="", user="")
    await prefetch_store.write_questions({"user123": [question]})
    clients = Clients(
        publisher=worker,
        feeds=feeds,
        items=store,
        user_profiles=portraits,
        charts=charts,
        push_store=pushes,
        prefetch_store=prefetch_store,
        catalog_listing=MemoryCatalogListing(items, events),
        health_checks=dict.fromkeys(("kafka", "registry", "redis", "database"), up),
    )
    async with serve_app(create_app(Settings(flic_token=TOKEN, admin_token=ADMIN), clients)) as url:
        yield url, worker


async def sent(url: str, example: str) -> httpx.Response:
    """Send a request as it is written: its first line, headers, an empty line, its body."""
    head, _, body = example.partition("\n\n")
    line, *headers = head.splitlines()
    method, _, target = line.partition(" ")
    headers_by_name = dict(header.split(": ", 1) for header in headers) | {
        "Flic-Token": TOKEN,
        "Authorization": f"Bearer {ADMIN}",
    }
    if body:
        headers_by_name.setdefault("Content-Type", "application/json")
    async with httpx.AsyncClient(base_url=url) as http:
        return await http.request(method, target, headers=headers_by_name, content=body)


def has_the_keys_of(found_value: Any, example: Any) -> None:
    """Hold an answer against an example: it has all its keys, with values of their kinds."""
    if isinstance(example, dict):
        for key, value in example.items():
            assert key in found_value
            has_the_keys_of(found_value[key], value)
    elif isinstance(example, list):
        assert found_value
        has_the_keys_of(found_value[0], example[0])
    elif isinstance(example, bool | str):
        assert type(found_value) is type(example)
    else:
        assert isinstance(found_value, int | float)
        assert not isinstance(found_value, bool)


@pytest.mark.parametrize("example", [*PERSONALIZATION, *VIDEO, *CONTENT_ENGINE])
async def test_requests_of_the_documents_are_served(server: tuple[str, Worker], example: str) -> None:
    answer = await sent(server[0], example)
    assert answer.is_success, answer.text


@pytest.mark.parametrize(("example", "expected"), CONTEXT_IQ)
async def test_answers_have_the_documented_keys(server: tuple[str, Worker], example: str, expected: str) -> None:
    answer = await sent(server[0], example)
    assert answer.status_code == 200, answer.text
    has_the_keys_of(answer.json(), msgspec.json.decode(expected))


async def test_the_documents_curl_command_is_answered(server: tuple[str, Worker]) -> None:
    command, address = shlex.split(CURL.replace(THEIRS, server[0]))
    assert command == "curl"
    async with httpx.AsyncClient() as http:
        assert (await http.get(address)).json()["status"] == "healthy"


async def run(url: str, code: str) -> dict[str, Any]:
    """Run Python as it is written, and return its names."""
    names: dict[str, Any] = {}
    await asyncio.to_thread(exec, code.replace(THEIRS, url), names)
    return names


async def test_the_python_that_personalizes_runs(server: tuple[str, Worker]) -> None:
    url, worker = server
    names = await run(url, PERSONALIZE)
    assert names["response"].status_code == 200
    [recommendation] = names["recommendations"]["recommendations"]
    assert (recommendation["id"], recommendation["title"]) == ("article1", "Machine Learning Trends")
    [candidate] = next(one.described for one in worker.values_of(TRIGGERS) if one.described)
    assert candidate.topics == ["technology", "ai"]


async def test_the_python_that_records_an_interaction_runs(server: tuple[str, Worker]) -> None:
    url, worker = server
    names = await run(url, RECORD)
    assert names["response"].ok
    assert [(event.action, event.value) for event in worker.values_of(INTERACTIONS) if event.item_id == "article1"] == [
        ("click", 4.5)
    ]
