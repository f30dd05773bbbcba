"""The API before real servers: what it acknowledges is in the topic, and what is away is said in time."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from redis.asyncio import Redis

from api.app import create_app
from api.context import Clients
from api.http.server import HttpServer
from infra import clock
from infra.address import Addresses
from infra.fakes.memory_publisher import MemoryPublisher
from infra.health import health_check
from infra.kafka.publisher import Publisher
from infra.kafka.registry import Registry
from infra.postgres.catalog_filter import PostgresCatalogListing
from infra.postgres.pool import LazyPool
from infra.redis.connection import connect
from infra.redis.stores.feed_store import DEFAULT_FEED, RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.settings import Settings
from tests.build import a_feed, an_item
from topics import Topic
from topics.topic import IMPRESSIONS, INTERACTIONS, LOCATIONS, PROFILE_UPDATES, TRIGGERS

DEADLINE_S = 60
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def serving(clients: Clients, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the API on a free port and yield a client of it."""
    app = create_app(Settings(**settings), clients)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = HttpServer(app, Settings(**settings))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=DEADLINE_S
            ) as http:
                while not server.started:  # noqa: ASYNC110 - uvicorn has no event for this
                    await asyncio.sleep(0.01)
                yield http
        finally:
            server.should_exit = True
            await running


def clients(stack: Addresses, registry: Registry, redis: Redis, **overrides: Any) -> Clients:
    fields: dict[str, Any] = {
        "feeds": RedisFeedStore(redis),
        "items": RedisItemStore(redis),
        "health_checks": {
            "kafka": health_check.kafka(stack.kafka_bootstrap_servers),
            "registry": health_check.registry(stack.schema_registry_url),
            "redis": health_check.redis(redis),
            "database": health_check.database(stack.database_url),
        },
    } | overrides
    if "publisher" not in fields:
        publisher = Publisher(stack.kafka_bootstrap_servers, registry, timeout_s=10)
        fields |= {"publisher": publisher, "closers": (publisher.close,)}
    return Clients(**fields)


def records_of(stack: Addresses, registry: Registry, topic: Topic, user_id: str, count: int) -> list[Any]:
    """Return a user's first records of a topic, in order, once there are so many."""
    consumer = Consumer({"bootstrap.servers": stack.kafka_bootstrap_servers, "group.id": uuid.uuid4().hex})
    consumer.assign([TopicPartition(topic.name, number, OFFSET_BEGINNING) for number in range(topic.partitions)])
    answers: list[Any] = []
    until_s = time.monotonic() + DEADLINE_S
    try:
        while len(answers) < count:
            assert time.monotonic() < until_s, f"{len(answers)} of {count} records arrived in {topic.name}"
            message = consumer.poll(0.5)
            if message is not None and message.error() is None and message.key() == user_id.encode():
                answers.append(registry.codec(topic.record).decode(message.value()))
    finally:
        consumer.close()
    return answers


@pytest.mark.parametrize(
    ("path", "body", "topic"),
    [
        ("/interaction", {"item_id": "i1", "action": "click"}, INTERACTIONS),
        ("/impression", {"items": [{"item_id": "i1"}]}, IMPRESSIONS),
        ("/location", {"lat": 38.72, "lon": -9.14}, LOCATIONS),
        ("/profile", {"categories": ["music"]}, PROFILE_UPDATES),
        ("/retrieve", {"reason": "pulled to refresh"}, TRIGGERS),
    ],
)
async def test_event_answered_with_202_is_in_its_topic(
    stack: Addresses, registry: Registry, redis: Redis, path: str, body: dict[str, Any], topic: Topic
) -> None:
    user_id = f"user-{uuid.uuid4()}"
    async with serving(clients(stack, registry, redis)) as http:
        answer = await http.post(path, json={"user_id": user_id, **body})
        assert answer.status_code == 202, answer.text
        [event] = await asyncio.to_thread(records_of, stack, registry, topic, user_id, 1)
    assert event.event_id == answer.json()["event_id"]


async def test_batch_answered_with_202_is_in_the_topic_in_order(
    stack: Addresses, registry: Registry, redis: Redis
) -> None:
    user_id = f"user-{uuid.uuid4()}"
    payloads = [{"user_id": user_id, "item_id": f"i{place}", "action": "view"} for place in range(500)]
    async with serving(clients(stack, registry, redis)) as http:
        answer = await http.post("/interaction/batch", json={"interactions": payloads})
        assert answer.status_code == 202, answer.text
        events = await asyncio.to_thread(records_of, stack, registry, INTERACTIONS, user_id, 500)
    assert [event.item_id for event in events] == [f"i{place}" for place in range(500)]
    assert [event.event_id for event in events] == answer.json()["event_ids"]


async def test_metrics_have_the_times_of_queries_by_kind(stack: Addresses, registry: Registry, redis: Redis) -> None:
    database = LazyPool(stack.database_url)
    api_clients = clients(
        stack,
        registry,
        redis,
        catalog_listing=PostgresCatalogListing(database),
        databases=[database],
        publisher=MemoryPublisher(),
        closers=(database.close,),
    )
    async with serving(api_clients) as http:
        for _ in range(2):
            assert (await http.get("/api/v1/content")).status_code == 200
        assert (await http.get("/api/v1/user-profile/nobody")).status_code == 404
        lines = (await http.get("/metrics")).text.splitlines()
    figures = dict(line.rsplit(" ", 1) for line in lines if line.startswith("millrace_postgres_query_duration_seconds"))
    kinds = {re.search('query="([^"]*)"', name).group(1) for name in figures if "query=" in name}  # type: ignore[union-attr]
    name = 'millrace_postgres_query_duration_seconds_{}{{query="listing items"}}'
    assert kinds == {"listing items"}
    assert float(figures[name.format("count")]) == 2
    assert 0 < float(figures[name.format("sum")]) < DEADLINE_S


def test_the_kinds_of_queries_are_texts_in_the_code() -> None:
    sources = (path for package in ("api", "infra", "cli") for path in (ROOT / package).rglob("*.py"))
    calls = [
        call
        for path in sources
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "read_connection"
    ]
    assert calls
    assert [ast.unparse(call) for call in calls if not isinstance(call.args[0], ast.Constant)] == []


async def test_broker_away_is_503_in_time_while_feeds_are_read(
    stack: Addresses, registry: Registry, redis: Redis, unused_tcp_port: int
) -> None:
    nowhere = f"127.0.0.1:{unused_tcp_port}"
    publisher = Publisher(nowhere, registry, timeout_s=1)
    api_clients = clients(
        stack,
        registry,
        redis,
        publisher=publisher,
        closers=(publisher.close,),
        health_checks={"kafka": health_check.kafka(nowhere), "redis": health_check.redis(redis)},
    )
    await api_clients.feeds.write([a_feed()])
    async with serving(api_clients, api_publish_timeout_s=1) as http:
        began_s = time.monotonic()
        publishing = asyncio.create_task(
            http.post("/interaction", json={"user_id": "u1", "item_id": "i1", "action": "click"})
        )
        feed = await http.get("/content", params={"user_id": "u1"})
        assert not publishing.done()
        refusal = await publishing
        took_s = time.monotonic() - began_s
        health = await http.get("/health")
    assert feed.status_code == 200
    assert (refusal.status_code, refusal.json()["error"]["code"]) == (503, "broker_away")
    assert int(refusal.headers["Retry-After"]) > 0
    assert took_s < 3
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert health.json()["dependencies"]["kafka"]["status"] == "down"


async def test_health_is_ok_when_every_server_answers(stack: Addresses, registry: Registry, redis: Redis) -> None:
    async with serving(clients(stack, registry, redis)) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok"), answer.text
    assert set(answer.json()["dependencies"]) == {"kafka", "registry", "redis", "database"}


async def test_redis_away_is_503_and_down(stack: Addresses, registry: Registry, unused_tcp_port: int) -> None:
    unreachable_redis = connect(f"redis://127.0.0.1:{unused_tcp_port}/0")
    async with serving(clients(stack, registry, unreachable_redis)) as http:
        feed = await http.get("/content", params={"user_id": "u1"})
        health = await http.get("/health")
    await unreachable_redis.aclose()
    assert (feed.status_code, feed.json()["error"]["code"]) == (503, "store_away")
    assert "Retry-After" in feed.headers
    assert (health.status_code, health.json()["status"]) == (503, "down")


async def test_content_of_real_stores_falls_back_to_everyones(
    stack: Addresses, registry: Registry, redis: Redis
) -> None:
    api_clients = clients(stack, registry, redis)
    await api_clients.feeds.write([a_feed(), a_feed(user_id=DEFAULT_FEED, model="everyones")])
    await api_clients.items.write([an_item("i1"), an_item("i3")])
    async with serving(api_clients) as http:
        own = (await http.get("/content", params={"user_id": "u1", "limit": 2})).json()
        fallback = (await http.get("/content", params={"user_id": "u2"})).json()
    assert [(entry["item_id"], entry["item"]["title"]) for entry in own["items"]] == [
        ("i1", "Title of i1"),
        ("i3", "Title of i3"),
    ]
    assert (own["fallback"], fallback["fallback"], fallback["model"]) == (False, True, "everyones")


async def test_large_body_is_refused_and_the_answer_arrives(stack: Addresses, registry: Registry, redis: Redis) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    async with serving(clients(stack, registry, redis), api_max_body_bytes=100_000) as http:
        long_body = await http.post("/interaction", content=b" " * 1_000_000, headers=headers)
        long_stream = await http.post("/interaction", content=chunks(), headers=headers)
        after = await http.post("/interaction", json={"user_id": "u1", "item_id": "i1", "action": "click"})
    for answer in (long_body, long_stream):
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert after.status_code == 202


async def test_stream_delivers_each_newer_feed(stack: Addresses, registry: Registry, redis: Redis) -> None:
    writer = RedisFeedStore(redis)  # as a worker would, over a connection of its own
    now_ms = clock.now_ms()
    await writer.write([a_feed(generated_at=now_ms)])
    async with serving(clients(stack, registry, redis)) as http:
        async with (
            asyncio.timeout(DEADLINE_S),
            http.stream("GET", "/content/stream", params={"user_id": "u1"}) as answer,
        ):
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            events = feeds_of(answer)
            assert (await anext(events))["version"].startswith(f"5-{now_ms}-")
            await writer.write([a_feed(features_version=4)])
            await writer.write([a_feed(features_version=6, generated_at=now_ms)])
            began_s = time.monotonic()
            assert (await anext(events))["version"].startswith(f"6-{now_ms}-")
            assert time.monotonic() - began_s < 5, "it came by looking, not by hearing"
            assert "millrace_feed_listeners 1.0" in (await http.get("/metrics")).text
        async with asyncio.timeout(DEADLINE_S):
            while "millrace_feed_listeners 0.0" not in (await http.get("/metrics")).text:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_stream_is_refused_when_enough_listen(stack: Addresses, registry: Registry, redis: Redis) -> None:
    api_clients = clients(stack, registry, redis)
    await api_clients.feeds.write([a_feed()])
    async with (
        serving(api_clients, api_max_listeners=1) as http,
        http.stream("GET", "/content/stream", params={"user_id": "u1"}) as answer,
    ):
        await anext(feeds_of(answer))
        second = await http.get("/content/stream", params={"user_id": "u2"})
    assert (second.status_code, second.json()["error"]["code"]) == (503, "too_many_listeners")


async def feeds_of(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the feeds of a stream of events."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield msgspec.json.decode(line.removeprefix("data: "))
