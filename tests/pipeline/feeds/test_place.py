"""Where users go, on real servers: what a walk and a flight trigger, and that no coordinate is kept of them."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import asyncpg
import h3
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra.address import Addresses
from infra.local.port import free_ports
from tests.build import T0_MS
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import LOCATIONS, TRIGGERS

RESOLUTION = 7
HOME = (40.73123456789, -73.99456789123)
NEXT_DOOR = (40.74123454321, -73.97987654321)
CHICAGO = (41.88123498765, -87.62987612345)
PLACES = (HOME, NEXT_DOOR, CHICAGO)
LAST_MS = T0_MS + 86_400_000


@pytest.fixture(scope="module")
async def pipeline(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A pipeline to whose API alex has told a walk along a border and a flight, with some mistakes in between."""
    async with a_pipeline(stack, tmp_path_factory.mktemp("place")) as pipeline:
        await pipeline.start("feed,archive,log")
        url = await pipeline.start_api(*free_ports(1), DEBUG="true")
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:

            async def ping(place: tuple[Any, Any], at_ms: int) -> int:
                body = {"user_id": "alex", "lat": place[0], "lon": place[1], "occurred_at": at_ms}
                return (await http.post("/location", json=body)).status_code

            for n in range(40):
                assert await ping((HOME, NEXT_DOOR)[n % 2], T0_MS + n * 60_000) == 202
            for lat, lon in PLACES:
                assert await ping((str(lat), lon), T0_MS) == 422
                assert await ping((lat + 100, lon - 200), T0_MS) == 422
            assert await ping(CHICAGO, LAST_MS) == 202
            act = {"user_id": "alex", "item_id": "i1", "action": "click"}
            assert (await http.post("/interaction", json=act)).status_code == 202

            async def logged() -> bool:
                return bool((await http.get("/interaction/alex")).json()["interactions"])

            async def told() -> bool:
                return any(trigger.occurred_at == LAST_MS for trigger in await pipeline.read(TRIGGERS))

            await until(logged, what="the click in the log")
            await until(told, what="the trigger of the flight")
        yield pipeline


def cell(place: tuple[float, float], resolution: int = RESOLUTION) -> str:
    return str(h3.latlng_to_cell(*place, resolution))


async def test_a_walk_along_a_border_triggers_once_and_a_flight_at_once(pipeline: Pipeline) -> None:
    assert h3.are_neighbor_cells(cell(HOME), cell(NEXT_DOOR))
    entries = await pipeline.read(TRIGGERS)
    assert [(trigger.user_id, trigger.kind, trigger.reason, trigger.occurred_at) for trigger in entries] == [
        ("alex", "location", "new-city", T0_MS),
        ("alex", "location", "new-city", LAST_MS),
    ]


async def test_no_coordinate_is_anywhere_but_in_the_request(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert {ping.cell for ping in await pipeline.read(LOCATIONS)} == {cell(place) for place in PLACES}
    needles = list(chain.from_iterable(traces(place) for place in PLACES))
    matches: set[str] = set()
    async for where, data in everything(pipeline, tmp_path_factory.getbasetemp()):
        matches |= {f"{needle!r} in {where}" for needle in needles if needle in data}
    assert not matches


def traces(place: tuple[float, float]) -> Iterator[bytes]:
    """Yield what would tell a place more closely than its cell: the numbers as text and binary, and finer cells."""
    for number in place:
        yield repr(abs(number))[:7].encode()
        yield struct.pack("<d", number)
        yield struct.pack(">d", number)
    for resolution in range(RESOLUTION + 1, 16):
        yield cell(place, resolution).encode()
        yield struct.pack(">Q", int(cell(place, resolution), 16))


async def everything(pipeline: Pipeline, home: Path) -> AsyncIterator[tuple[str, bytes]]:
    """Yield all that is kept: topics and changelogs, Redis, PostgreSQL, the tables' files, and everyone's logs."""
    counts = dict.fromkeys(("topics", "redis", "postgres", "files"), 0)
    for source in of_topics(pipeline.addresses), of_redis(pipeline.redis), of_postgres(pipeline.addresses):
        async for where, data in source:
            counts[where.partition(" ")[0]] += 1
            yield where, data
    for where, data in of_files(pipeline.home, home):
        counts["files"] += 1
        yield where, data
    assert all(counts.values()), f"something was not looked at: {counts}"


async def of_topics(addresses: Addresses) -> AsyncIterator[tuple[str, bytes]]:
    admin = AdminClient({"bootstrap.servers": addresses.kafka_bootstrap_servers})
    topics = (await asyncio.to_thread(admin.list_topics)).topics
    assert {LOCATIONS.name, "millrace-users-changelog", "__consumer_offsets"} <= set(topics)
    partitions = [TopicPartition(name, part) for name, topic in topics.items() for part in topic.partitions]
    consumer = AIOKafkaConsumer(bootstrap_servers=addresses.kafka_bootstrap_servers)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for tp, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    parts = (record.key, record.value, *(value for _, value in record.headers))
                    yield f"topics {tp.topic}", b"\n".join(part for part in parts if part)
    finally:
        await consumer.stop()


async def of_redis(redis: Redis) -> AsyncIterator[tuple[str, bytes]]:
    reads = {
        b"string": redis.get,
        b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        b"set": redis.smembers,
        b"hash": redis.hgetall,
        b"list": lambda key: redis.lrange(key, 0, -1),
    }
    async for key in redis.scan_iter():
        value = await reads[await redis.type(key)](key)
        yield f"redis {key!r}", key + (value if isinstance(value, bytes) else repr(value).encode())


async def of_postgres(addresses: Addresses) -> AsyncIterator[tuple[str, bytes]]:
    connection = await asyncpg.connect(addresses.database_url)
    try:
        for (name,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
            for (row,) in await connection.fetch(f'SELECT t::text FROM "{name}" t'):
                yield f"postgres {name}", row.encode()
    finally:
        await connection.close()


def of_files(roles: Path, home: Path) -> Iterator[tuple[str, bytes]]:
    for folder in roles, *home.glob("stack*/logs"):
        for path in folder.rglob("*"):
            if path.is_file():
                yield f"files {path}", path.read_bytes()
