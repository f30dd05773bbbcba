"""The erasure of one of several users, under load on real servers: nothing is left of them, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.address import Addresses
from tests.pipeline.pipeline import until
from tests.pipeline.privacy.erasure_world import (
    ROLES,
    SETTINGS,
    USER,
    WITHIN_S,
    World,
    a_world,
    load,
    table_traces,
    verify,
)
from topics.topic import INTERACTIONS


@pytest.fixture
async def world(stack: Addresses, tmp_path: Path) -> AsyncIterator[World]:
    async with a_world(stack, tmp_path) as world:
        yield world


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
        assert await world.traces() == {"redis": [], "postgresql": [], "topics": [], "files": []}
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
