"""The archive role: everything usable is in PostgreSQL once, whatever comes twice, badly or while it is away."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from msgspec.structs import replace as replaced

from infra.address import Addresses
from infra.kafka.admin.provision import provision
from infra.kafka.publisher import Publisher
from infra.local import LocalStack, Ports
from infra.settings import Settings
from streams.roles.archive import archive_role as archive
from tests.build import an_interaction, an_item
from topics.topic import INTERACTIONS, ITEMS

DEADLINE_S = 120.0


class Place(NamedTuple):
    """What the archive reads of a message besides its value."""

    timestamp: int
    topic: str
    partition: int
    offset: int


async def rows(url: str, query: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query, *values)]
    finally:
        await connection.close()


async def until_rows(url: str, query: str, value: Any, true: Callable[[list[Any]], bool]) -> list[Any]:
    """Ask until the rows are as they should be; the server may be away in between."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                stored_rows = await rows(url, query, value)
            except (OSError, asyncpg.PostgresError):
                stored_rows = []
            if true(stored_rows):
                return stored_rows
            await asyncio.sleep(0.05)


@pytest.fixture
async def archiving(stack: Addresses) -> AsyncIterator[None]:
    """The role, running."""
    stop = asyncio.Event()
    running = asyncio.create_task(archive.run(stack.apply_to(Settings()), stop))
    yield
    stop.set()
    await asyncio.wait_for(running, DEADLINE_S)


@pytest.mark.usefixtures("archiving")
async def test_events_are_kept_once_and_bad_ones_passed_over(stack: Addresses, publisher: Publisher) -> None:
    user_id = uuid.uuid4().hex
    events = [an_interaction(event_id=str(uuid.uuid4()), user_id=user_id, item_id=f"i{n}") for n in range(50)]
    for event in [*events, *events[:10]]:
        publisher.produce(INTERACTIONS, event)
    publisher.produce_bytes(INTERACTIONS, user_id.encode(), b"not a record")
    late = an_interaction(event_id=str(uuid.uuid4()), user_id=user_id, item_id="last", context={"surface": "home"})
    publisher.produce(INTERACTIONS, late)
    await publisher.flush()
    query = 'SELECT event_id, item_id, context, topic, "offset" FROM interactions WHERE user_id = $1 ORDER BY "offset"'
    stored_rows = await until_rows(stack.database_url, query, user_id, lambda stored_rows: len(stored_rows) >= 51)
    assert [row[0] for row in stored_rows] == [event.event_id for event in [*events, late]]
    assert (stored_rows[-1][1], stored_rows[-1][2], stored_rows[-1][3]) == (
        "last",
        '{"surface": "home"}',
        INTERACTIONS.name,
    )


@pytest.mark.usefixtures("archiving")
async def test_the_newest_version_of_an_item_is_kept(stack: Addresses, publisher: Publisher) -> None:
    item_id = uuid.uuid4().hex
    item = an_item(item_id, topics=["a", "b"], attributes={"k": "v"})
    for title in ("first", "second", "third"):
        await publisher.publish(ITEMS, [replaced(item, title=title)])
    query = "SELECT title, topics, attributes FROM items WHERE item_id = $1"
    stored_rows = await until_rows(
        stack.database_url, query, item_id, lambda stored_rows: bool(stored_rows) and stored_rows[0][0] == "third"
    )
    assert stored_rows == [("third", ["a", "b"], '{"k": "v"}')]


async def test_an_older_version_of_an_item_never_replaces_a_newer_one(stack: Addresses) -> None:
    connection = await asyncpg.connect(stack.database_url)
    try:
        await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
        statement, item_id = archive.upsert_items(), uuid.uuid4().hex
        for title, at_ms, offset in (("new", 2_000, 1), ("old", 1_000, 9), ("same time, later", 2_000, 2)):
            record = Place(at_ms, ITEMS.name, 0, offset)
            await connection.execute(statement, *archive.item_row(record, an_item(item_id, title=title)))
            if title == "old":
                assert await connection.fetchval("SELECT title FROM items WHERE item_id = $1", item_id) == "new"
        assert await connection.fetchval("SELECT title FROM items WHERE item_id = $1", item_id) == "same time, later"
    finally:
        await connection.close()


async def test_what_comes_while_the_database_is_away_is_written_when_it_is_back(
    stack: Addresses, publisher: Publisher, tmp_path: Path
) -> None:
    settings = replace(stack.apply_to(Settings()), database_url="")
    away = LocalStack(tmp_path, settings=settings, ports=Ports.free(), on_step=lambda _: None)
    stop = asyncio.Event()
    async with away as addresses:
        await provision(addresses)
        running = asyncio.create_task(archive.run(addresses.apply_to(Settings()), stop))
        user_id = uuid.uuid4().hex
        query = "SELECT event_id FROM interactions WHERE user_id = $1 ORDER BY event_id"
        events = [an_interaction(event_id=str(uuid.uuid4()), user_id=user_id) for _ in range(2)]
        await publisher.publish(INTERACTIONS, events[:1])
        await until_rows(addresses.database_url, query, user_id, lambda stored_rows: len(stored_rows) == 1)
        (postgres,) = away.children
        postgres.kill()
        await publisher.publish(INTERACTIONS, events[1:])
        stored_rows = await until_rows(
            addresses.database_url, query, user_id, lambda stored_rows: len(stored_rows) == 2
        )
        assert [row[0] for row in stored_rows] == sorted(event.event_id for event in events)
        stop.set()
        await asyncio.wait_for(running, DEADLINE_S)
