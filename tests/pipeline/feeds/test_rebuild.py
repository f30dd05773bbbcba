"""A store that was lost is filled again: by itself, and by a command."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra import clock
from infra.address import Addresses
from infra.kafka.admin.provision import provision
from infra.local import LocalStack, Ports
from infra.postgres.pool import CONNECTION_ERRORS, open_pool
from infra.redis.projection import KEY
from infra.redis.stores.chart_store import RedisChartStore
from infra.redis.stores.experiment_store import RedisExperimentStore
from infra.redis.stores.feed_store import DEFAULT_FEED, RedisFeedStore
from infra.redis.stores.interaction_log import RedisInteractionLog
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.push_store import RedisPushStore
from infra.redis.stores.user_profile_store import RedisUserProfileStore
from infra.settings import Settings
from streams.roles.archive import archive_role as archive
from tests.build import a_profile, a_push_request, an_experiment, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import EXPERIMENTS, INTERACTIONS, ITEMS, PROFILES, PUSH_REQUESTS

USERS = [f"user-{number}" for number in range(12)]
THINGS = [f"item-{number}" for number in range(30)]
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
async def pipeline(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A pipeline in which a dozen people have done something, with all that Redis is filled with."""
    async with a_pipeline(stack, tmp_path_factory.mktemp("rebuild")) as pipeline:
        await pipeline.start("feed")
        await pipeline.start("trainer,links,archive,log")
        await pipeline.start("push")
        items = [
            an_item(name, category=f"c{number % 3}", topics=[f"t{number % 5}"]) for number, name in enumerate(THINGS)
        ]
        await pipeline.publish(ITEMS, items)
        await pipeline.settle()
        await pipeline.publish(PROFILES, [a_profile(event_id=new_id(), user_id=user, topics=["t1"]) for user in USERS])
        await pipeline.publish(EXPERIMENTS, [an_experiment()])
        await pipeline.publish(PUSH_REQUESTS, [a_push_request(event_id=new_id(), user_id=user) for user in USERS])
        fields = {"kind": "send", "title": "Tonight", "body": "A trio"}
        await pipeline.publish(PUSH_REQUESTS, [a_push_request(event_id=new_id(), user_id=USERS[0], **fields)])
        await act(pipeline)
        yield pipeline


def new_id() -> str:
    return str(uuid.uuid4())


async def act(pipeline: Pipeline) -> None:
    """Have everybody click, and wait until all of it is worked on."""
    now_ms = clock.now_ms()
    events = [
        an_interaction(event_id=new_id(), user_id=user, item_id=THINGS[(3 * number + step) % 30], occurred_at=now_ms)
        for number, user in enumerate(USERS)
        for step in range(3)
    ]
    await pipeline.publish(INTERACTIONS, events)
    await pipeline.settle()


async def shown(pipeline: Pipeline) -> dict[str, Any]:
    """Return what the API can read, as far as it is made of topics."""
    redis = pipeline.redis
    feeds = await RedisFeedStore(redis).read(USERS)
    everyones = (await RedisFeedStore(redis).read([DEFAULT_FEED]))[0]
    portraits, pushes, interaction_log = RedisUserProfileStore(redis), RedisPushStore(redis), RedisInteractionLog(redis)
    charts = RedisChartStore(redis)
    return {
        "feeds": dict(zip(USERS, feeds, strict=True)),
        "everyone": None if everyones is None else sorted(everyones.items),
        "items": await RedisItemStore(redis).read(THINGS),
        "portraits": {user: await portraits.read(user) for user in USERS},
        "devices": {user: await pushes.read_devices(user) for user in USERS},
        "notifications": {user: await pushes.read_notifications(user, 100) for user in USERS},
        "logged": {user: await interaction_log.read(user) for user in USERS},
        "trending": list(await charts.read(None, limit=100)),
        "by category": {name: list(await charts.read(name, limit=100)) for name in ("c0", "c1", "c2")},
        "experiments": await RedisExperimentStore(redis).read(),
    }


async def whole(pipeline: Pipeline) -> dict[str, Any]:
    """Return what is shown once nothing is missing."""

    async def found() -> dict[str, Any] | None:
        now = await shown(pipeline)
        are_charts_full = sum(map(len, now["by category"].values())) == len(now["trending"]) == len(THINGS)
        parts = [*now["feeds"].values(), *now["devices"].values(), *now["items"], now["everyone"], now["experiments"]]
        parts.append(now["notifications"][USERS[0]])
        are_profiles_full = all(
            portrait.inferred_profile and portrait.stated_profile for portrait in now["portraits"].values()
        )
        return now if are_charts_full and are_profiles_full and all(parts) and all(now["logged"].values()) else None

    snapshot: dict[str, Any] = await until(found, what="everything in Redis")
    return snapshot


async def back(pipeline: Pipeline, before: dict[str, Any]) -> None:
    """Wait until Redis holds what it held."""

    async def same() -> bool:
        now = await shown(pipeline)
        return all(now[name] == before[name] for name in before)

    try:
        await until(same)
    except TimeoutError:
        now = await shown(pipeline)
        assert {name: now[name] for name in before} == before


async def test_a_redis_that_was_emptied_is_filled_again_by_itself(pipeline: Pipeline) -> None:
    before = await whole(pipeline)
    await pipeline.redis.flushall()
    await back(pipeline, before)
    await pipeline.redis.flushall()
    await act(pipeline)  # what comes meanwhile is newer than what is read again
    now = await whole(pipeline)
    for user, feed in now["feeds"].items():
        assert feed.features_version > before["feeds"][user].features_version
    assert all(len(events) == 6 for events in now["logged"].values())


async def test_deleted_items_do_not_come_back(pipeline: Pipeline) -> None:
    item = an_item("gone")
    await pipeline.publish(ITEMS, [item])
    pipeline.publisher.produce_bytes(ITEMS, b"gone", None)
    await pipeline.publisher.flush()
    await pipeline.settle()
    await pipeline.redis.flushall()
    await whole(pipeline)
    assert await RedisItemStore(pipeline.redis).read(["gone"]) == [None]


async def test_a_role_that_starts_fills_what_was_lost_while_it_was_away(pipeline: Pipeline) -> None:
    before = await whole(pipeline)
    for process in pipeline.processes:
        await pipeline.stop(process)
    await pipeline.redis.flushall()
    await pipeline.start("feed")
    await pipeline.start("trainer,links,archive,log")
    await pipeline.start("push")
    await back(pipeline, before)


async def test_one_command_rebuilds_what_was_spoiled(pipeline: Pipeline) -> None:
    before = await whole(pipeline)
    await pipeline.redis.delete("item:item-1", "devices:user-1", "profile:user-1", "feed:user-1")
    await pipeline.redis.set("item:item-2", b'{"title": "spoiled"}')
    connection = await asyncpg.connect(pipeline.addresses.database_url)
    try:
        rows = await archived(connection)
        await connection.execute("DELETE FROM interactions WHERE user_id = 'user-3'")
        await connection.execute("DELETE FROM items WHERE item_id = 'item-1'")
        code, out, err = await pipeline.millrace("rebuild", "--timeout", "60")
        assert code == 0, out + err
        assert "Done" in out
        assert await archived(connection) == rows
    finally:
        await connection.close()
    await back(pipeline, before)


async def test_a_rebuild_without_its_roles_says_so_and_fails(pipeline: Pipeline) -> None:
    for process in pipeline.processes:
        await pipeline.stop(process)
    code, out, _ = await pipeline.millrace("rebuild", "--store", "redis", "--timeout", "0.1")
    assert code == 1
    assert "No log role is running" in out
    assert "feed (16 partitions)" in out
    assert await pipeline.redis.exists(KEY) == 0
    code, out, _ = await pipeline.millrace("rebuild", "--no-wait")
    assert (code, "Not done" in out) == (0, False)


async def archived(connection: Any) -> list[Any]:
    """Return what the archive holds."""
    events = await connection.fetch("SELECT * FROM interactions ORDER BY event_id")
    items = await connection.fetch("SELECT * FROM items ORDER BY item_id")
    return [tuple(row) for row in (*events, *items)]


async def test_a_database_without_its_folder_is_created_again_and_refilled(stack: Addresses, tmp_path: Path) -> None:
    """As under `millrace up`: the server is killed, its folder is gone, what comes back is empty."""
    async with a_pipeline(stack, tmp_path) as pipeline:
        settings = replace(stack.apply_to(Settings()), database_url="")
        local = LocalStack(
            tmp_path / "home", settings=settings, ports=Ports.free(), on_step=print, on_restart=provision
        )
        stop = asyncio.Event()
        async with local as addresses:
            await provision(addresses)
            running = asyncio.create_task(archive.run(addresses.apply_to(Settings()), stop))
            await pipeline.publish(ITEMS, [an_item(name) for name in THINGS])
            await pipeline.publish(
                INTERACTIONS, [an_interaction(event_id=new_id(), user_id=user, item_id="item-1") for user in USERS]
            )
            counts = (len(USERS), len(THINGS), len(THINGS))
            await until(lambda: held(addresses, counts), what="everything in the archive")
            (postgres,) = local.children
            postgres.kill()
            (tmp_path / "home" / "postgres").rename(tmp_path / "lost")  # at once: it starts again within half a second
            await pipeline.publish(INTERACTIONS, [an_interaction(event_id=new_id(), user_id="later", item_id="item-2")])
            await until(lambda: held(addresses, (counts[0] + 1, *counts[1:])), what="everything in the archive again")
            assert not running.done()
            stop.set()
            await asyncio.wait_for(running, DEADLINE_S)


async def held(addresses: Addresses, counts: tuple[int, int, int]) -> bool:
    """Say whether the archive holds so many interactions, items and items that are indexed."""
    try:
        pool = await open_pool(addresses.database_url)
        rows = await pool.fetchrow(
            "SELECT (SELECT count(*) FROM interactions), (SELECT count(*) FROM items), (SELECT count(*) FROM catalogue)"
        )
        await pool.close()
    except CONNECTION_ERRORS:
        return False
    return tuple(rows) == counts
