"""The erasure of one of several users, under load on real servers: nothing is left of them, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from infra import clock
from infra.address import Addresses
from infra.kafka.admin.provision import changelogs
from infra.postgres.pool import connect
from schemas.types import Interaction
from tests.build import a_choice, a_push_request, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics import TOPICS
from topics.topic import CHOICES, FEATURES, INTERACTIONS, ITEMS, PARTITIONS, PUSH_REQUESTS

USER, OTHERS = "erase-me-7f3a", [f"other-{number}" for number in range(6)]
KEY = "a key that is long enough for a test"
SETTINGS = {
    "ERASURE_KEY": KEY,
    "MODEL_FIT_INTERVAL_S": "0",
    "MODEL_FULL_FIT_INTERVAL_S": "0",
    "TRAINER_SNAPSHOT_INTERVAL_S": "1",
    "FETCH_CATEGORIES": "music=3600",
}
NEEDLE = USER.encode()
COMPACTED = [topic.name for topic in TOPICS if topic.is_compacted] + [topic.name for topic in changelogs()]
ROLES = ("feed,push", "links,trainer,archive,log,outcomes,shop,fetch")
WITHIN_S = 60.0
"""Time from the request to the receipt that docs/privacy.md states."""


def events(users: list[str], count: int) -> list[Interaction]:
    """Return some events of each user, up to now."""
    now_ms = clock.now_ms()
    return [
        an_interaction(
            event_id=f"{user}-{number}", user_id=user, item_id=f"i{(number * 7 + index) % 40}", action="like",
            occurred_at=now_ms - 60_000 * (count - number),
        )
        for number in range(count)
        for index, user in enumerate(users)
    ]  # fmt: skip


async def tell(http: httpx.AsyncClient, user_id: str) -> None:
    """Tell the API all that it takes of a user."""
    for path, body in {
        "/profile": {"city": "Lisbon", "timezone": "Europe/Lisbon", "categories": ["music"]},
        "/location": {"lat": 38.7, "lon": -9.1},
        "/impression": {"items": [{"item_id": "i1", "position": 0}], "surface": "home"},
        "/retrieve": {"reason": "a test"},
        "/interaction": {"action": "search", "query": "quiet songs"},
    }.items():
        answer = await http.post(path, json={"user_id": user_id} | body)
        assert answer.status_code == 202, (path, answer.text)


@asynccontextmanager
async def load(pipeline: Pipeline) -> AsyncIterator[None]:
    """Publish events of other users all the while."""

    async def publish() -> None:
        for number in range(1_000_000):
            event = an_interaction(
                event_id=f"load-{number}", user_id=f"load-{number % 50}", item_id=f"i{number % 40}",
                occurred_at=clock.now_ms(),
            )  # fmt: skip
            await pipeline.publish(INTERACTIONS, [event])
            await asyncio.sleep(0.02)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def redis_traces(pipeline: Pipeline, needle: bytes) -> list[bytes]:
    """Return the keys in Redis whose name or content holds some bytes."""
    redis, traces = pipeline.redis, []
    readers: dict[bytes, Any] = {
        b"string": redis.get,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
        b"set": redis.smembers,
        b"zset": lambda key: redis.zrange(key, 0, -1),
    }
    async for key in redis.scan_iter(count=1_000):
        kind = await redis.type(key)
        content = None if kind == b"none" else await readers[kind](key)
        if needle in key or needle in repr(content).encode():
            traces.append(key)
    return traces


async def table_traces(addresses: Addresses, text: str) -> list[str]:
    """Return the tables with a row that holds a text."""
    connection: asyncpg.Connection = await connect(addresses.database_url)
    try:
        rows = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        counts = {
            row["name"]: await connection.fetchval(
                f'SELECT count(*) FROM "{row["name"]}" AS row WHERE row::text LIKE $1', f"%{text}%"
            )
            for row in rows
        }
        return sorted(name for name, count in counts.items() if count)
    finally:
        await connection.close()


async def topic_traces(addresses: Addresses, names: list[str], needle: bytes) -> list[str]:
    """Return the compacted topics in which the newest record of some key holds some bytes, and is no deletion."""
    consumer = AIOKafkaConsumer(bootstrap_servers=addresses.kafka_bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, number) for name in names for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        newest: dict[tuple[str, bytes], bytes | None] = {}
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                newest |= {(tp.topic, record.key): record.value for record in records}
        return sorted({name for (name, key), value in newest.items() if value is not None and needle in key + value})
    finally:
        await consumer.stop()


def file_traces(folder: Path, needle: bytes) -> Iterator[Path]:
    """Yield the files below a folder that hold some bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and needle in path.read_bytes():
            yield path


@dataclass
class World:
    """A pipeline with all roles that hold data of users, and a client of the API."""

    pipeline: Pipeline
    http: httpx.AsyncClient

    async def fill(self) -> None:
        """Let everybody do and say everything, and wait until it is in all stores."""
        pipeline = self.pipeline
        await pipeline.publish(ITEMS, [an_item(f"i{number}", category="music", kind="product") for number in range(40)])
        await pipeline.publish(INTERACTIONS, events([USER, *OTHERS], 12))
        registrations = [
            a_push_request(event_id=f"r-{user}", user_id=user, token=f"t-{user}") for user in (USER, *OTHERS)
        ]
        await pipeline.publish(PUSH_REQUESTS, registrations)
        for user in (USER, *OTHERS):
            await tell(self.http, user)
        await pipeline.publish(CHOICES, [a_choice(user_id=USER)])  # the trainer has weights of the user
        await pipeline.settle()

        async def is_everywhere() -> Any:
            tables, keys = await table_traces(pipeline.addresses, USER), await redis_traces(pipeline, NEEDLE)
            tokens = await topic_traces(pipeline.addresses, ["millrace-push-tokens-changelog"], NEEDLE)
            return {"interactions", "impressions"} <= set(tables) and len(keys) > 7 and tokens and self.table_files()

        await until(is_everywhere, timeout_s=90.0, what="traces of the user in all stores")

    @property
    def models(self) -> Path:
        return self.pipeline.home / "models"

    def table_files(self) -> list[Path]:
        """Return the files of tables that hold the id; manifests may name the first and last key of a former file."""
        folders = [self.pipeline.home / name for name in ("worker", "push")]
        paths = [path for folder in folders for path in file_traces(folder, NEEDLE)]
        return [path for path in paths if not path.name.startswith("MANIFEST")]

    async def erase(self) -> dict[str, Any]:
        """Erase the user, and return the receipt."""
        start_s = time.monotonic()
        answer = await self.http.delete(f"/user/{USER}")
        assert answer.status_code == 202, answer.text

        async def receipt() -> Any:
            return (await self.http.get(f"/user/{USER}/erasure")).json()["receipt"]

        document: dict[str, Any] = await until(receipt, timeout_s=120.0, look_every_s=0.2, what="the receipt")
        took_s = time.monotonic() - start_s
        print(f"the receipt came after {took_s:.1f} s")
        assert took_s < WITHIN_S
        return document

    async def traces(self) -> dict[str, Any]:
        """Return all places that name the user."""
        return {
            "redis": await redis_traces(self.pipeline, NEEDLE),
            "postgresql": await table_traces(self.pipeline.addresses, USER),
            "topics": await topic_traces(self.pipeline.addresses, COMPACTED, NEEDLE),
            "files": list(file_traces(self.models, NEEDLE)),
        }

    async def feeds(self) -> dict[str, Any]:
        """Return the feeds of the others."""
        return {user: await self.pipeline.redis.get(f"feed:{user}") for user in OTHERS}

    async def event_count(self, event_id: str) -> int:
        """Publish a new event of the user, and return the number of events that are known."""
        event = an_interaction(event_id=event_id, user_id=USER, occurred_at=clock.now_ms())
        await self.pipeline.publish(INTERACTIONS, [event])
        await self.pipeline.settle()
        return int((await self.pipeline.newest(FEATURES))[USER].event_count)


@pytest.fixture
async def world(stack: Addresses, tmp_path: Path) -> AsyncIterator[World]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with a_pipeline(stack, tmp_path) as pipeline:
        url = await pipeline.start_api(port, **SETTINGS)
        for roles in ROLES:
            await pipeline.start(roles, **SETTINGS)
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
            yield World(pipeline, http)


async def verify(pipeline: Pipeline, document: dict[str, Any]) -> str:
    """Return what the command says of a receipt."""
    file = pipeline.home / "receipt.json"
    file.write_bytes(msgspec.json.encode(document))
    _, _, err = await pipeline.millrace("erase", "--verify", str(file), **SETTINGS)
    return err.partition(":")[0]


async def test_nothing_is_left_of_an_erased_user_and_nobody_else_notices(world: World) -> None:
    async with asyncio.timeout(400):
        await _erase_one_of_many(world)


async def _erase_one_of_many(world: World) -> None:
    pipeline = world.pipeline
    await world.fill()
    export = (await world.http.get(f"/user/{USER}/export")).json()
    assert export["redis"]["stated profile"]["city"] == "Lisbon"
    assert len(export["archive"]["interactions"]) == 13
    assert {"locations", "profile-updates", "triggers", "features"} <= set(export["topics"])
    assert export["cut"] == []
    feeds = await world.feeds()
    async with load(pipeline):
        document = await world.erase()
        # The token of a device is in another partition than its user, and another agent follows.
        await until(lambda: not world.table_files(), timeout_s=WITHIN_S, what="the files of tables without the user")

        async def is_gone() -> bool:  # a heartbeat may name the user for a moment longer
            return not any((await world.traces()).values())

        await until(is_gone, timeout_s=WITHIN_S, look_every_s=1.0, what="stores without the user")
    assert await world.feeds() == feeds
    counts = {store["name"]: store["erased"] for store in document["stores"]}
    assert counts["postgresql: interactions"] == 13
    assert counts["state: users"] == counts["state: pushes"] == counts["state: trainer"] == 1
    assert [topic["name"] for topic in document["topics"] if topic["gone_by"] is None] == []
    assert INTERACTIONS.name in {topic["name"] for topic in document["topics"]}
    assert await verify(pipeline, document) == "Authentic"
    assert await verify(pipeline, document | {"completed_at": 1}) == "Not authentic"
    empty = (await world.http.get(f"/user/{USER}/export")).json()
    assert (empty["redis"], set(empty["topics"]) - {"erasure-requests"}) == ({}, set())

    assert await world.event_count("new") == 1
    assert await pipeline.redis.get(f"feed:{USER}") is not None
    for worker in pipeline.processes[-len(ROLES) :]:
        await pipeline.kill(worker)
    # Without the folders of the tables and the snapshots, everything comes from the topics.
    for roles in ROLES:
        await pipeline.start(roles, worker_id="1", **(SETTINGS | {"MILLRACE_HOME": str(pipeline.home / "anew")}))
    assert await world.event_count("2nd") == 2
    assert await table_traces(pipeline.addresses, f"{USER}-") == []
