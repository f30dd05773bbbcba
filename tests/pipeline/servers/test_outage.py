"""Redis gone, PostgreSQL gone, for ten seconds each while the model answers: nothing is lost or asked for twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
import httpx
import pytest

from infra import clock
from infra.address import Addresses
from infra.fakes.fake_claude import KEY, FakeClaude
from infra.local.port import free_ports
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.prefetch_store import RedisPrefetchStore
from schemas.types import Content, LlmCall
from tests.build import a_profile, a_trigger, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from tests.pipeline.relay import Relay
from topics.topic import CONTENT, INTERACTIONS, ITEMS, LLM_CALLS, PROFILES, TRIGGERS

GONE_S = 10.0
USERS, EVENTS = 6, 40


@dataclass(frozen=True)
class World:
    """Roles that reach their servers by ways that can be cut, and a model whose answers wait at a gate."""

    pipeline: Pipeline
    claude: FakeClaude
    redis: Relay
    database: Relay
    http: httpx.AsyncClient

    async def ask(self, name: str) -> list[str]:
        """Have content asked for some users, and wait until every question is at the model."""
        users, request_count = [f"{name}-{n}" for n in range(USERS)], len(self.claude.requests)
        self.claude.gate.clear()
        profiles = [a_profile(user_id=user_id, topics=[user_id], occurred_at=clock.now_ms()) for user_id in users]
        await self.pipeline.publish(PROFILES, profiles)

        async def known() -> bool:
            return set(users) <= set(await self.pipeline.features())

        await until(known, what="the users are known")
        triggers = [a_trigger(user_id=user_id, occurred_at=clock.now_ms()) for user_id in users]
        await self.pipeline.publish(TRIGGERS, triggers)
        await until(lambda: len(self.claude.requests) == request_count + USERS, what="every question at the model")
        return users

    async def act(self, user_id: str) -> int:
        """Act as somebody else, and return when that was."""
        events = [
            an_interaction(user_id=user_id, item_id=f"song-{n}", occurred_at=clock.now_ms() + n) for n in range(EVENTS)
        ]
        await self.pipeline.publish(INTERACTIONS, events)
        return events[-1].occurred_at

    async def shows(self, user_id: str, at_ms: int) -> None:
        """Wait for a feed that knows of what somebody did."""
        store = RedisFeedStore(self.pipeline.redis)

        async def is_fresh() -> bool:
            [feed] = await store.read([user_id])
            return feed is not None and feed.watermark >= at_ms

        await until(is_fresh, what=f"the feed of {user_id}")

    async def answered(self, users: list[str]) -> None:
        """Wait until everyone's content is cached; each was asked for once, and answered once, by the model."""
        store = RedisPrefetchStore(self.pipeline.redis)

        async def cached() -> bool:
            return all([await store.read(user_id) for user_id in users])

        await until(cached, what="everyone's content")
        content: list[Content] = [one for one in await self.pipeline.read(CONTENT) if one.user_id in users]
        calls: list[LlmCall] = [one for one in await self.pipeline.read(LLM_CALLS) if one.user_id in users]
        assert sorted(one.user_id for one in content) == sorted(one.user_id for one in calls) == users
        assert {(one.source, one.fallback) for one in content} == {("llm", "")}
        assert {(one.outcome, one.attempts) for one in calls} == {("answered", 1)}
        assert len(self.claude.requests) == len(await self.pipeline.read(LLM_CALLS))
        assert await self.pipeline.dead_letters() == []

    async def health(self) -> tuple[int, str, dict[str, str]]:
        """Return status, word, and what is down."""
        answer = await self.http.get("/health")
        statuses = {name: one["status"] for name, one in answer.json()["dependencies"].items()}
        return answer.status_code, answer.json()["status"], statuses

    @asynccontextmanager
    async def gone(self, relay: Relay, name: str, status: tuple[int, str]) -> AsyncIterator[None]:
        """Have a server gone for `GONE_S` while the model answers, and know it from the health endpoint."""
        ends_s = asyncio.get_running_loop().time() + GONE_S
        await relay.cut()
        self.claude.gate.set()

        async def told() -> bool:
            code, word, health = await self.health()
            return (code, word, health[name]) == (*status, "down")

        await until(told, what=f"{name} is told to be down")
        yield
        await asyncio.sleep(ends_s - asyncio.get_running_loop().time())
        await relay.mend()

        async def well() -> bool:
            return (await self.health())[:2] == (200, "ok")

        await until(well, what="all is well again")


@pytest.fixture(scope="module")
async def world(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as exits:
        pipeline = await exits.enter_async_context(a_pipeline(stack, tmp_path_factory.mktemp("outage")))
        redis = await exits.enter_async_context(Relay(stack.redis_url))
        database = await exits.enter_async_context(Relay(stack.database_url))
        exits.push_async_callback(pipeline.close)  # while the ways are there
        claude = FakeClaude()
        env = {"REDIS_URL": redis.url, "DATABASE_URL": database.url, "FETCH_CATEGORIES": "music=3600"}
        url = await exits.enter_async_context(claude.serve())
        (port,) = free_ports(1)
        await pipeline.start("feed,archive", **env)
        await pipeline.start("fetch", **env, LLM_BASE_URL=url, ANTHROPIC_API_KEY=KEY, LLM_TIMEOUT_S="60")
        http = httpx.AsyncClient(base_url=await pipeline.start_api(port, **env), timeout=30)
        await pipeline.publish(ITEMS, [an_item(f"song-{n}", topics=["jazz"]) for n in range(EVENTS)])
        yield World(pipeline, claude, redis, database, await exits.enter_async_context(http))


async def test_redis_gone_while_the_model_answers(world: World) -> None:
    users = await world.ask("redis")
    async with world.gone(world.redis, "redis", (503, "down")):
        at_ms = await world.act("bob")
        answer = await world.http.post("/interaction", json={"user_id": "cleo", "item_id": "song-1", "action": "like"})
        assert answer.status_code == 202
        assert (await world.http.get("/content", params={"user_id": "bob"})).status_code == 503
        assert "millrace_role{" not in (await world.http.get("/metrics")).text
    await world.answered(users)
    await world.shows("bob", at_ms)
    await world.shows("cleo", 1)

    async def told() -> bool:
        return 'millrace_role{role="fetch",what="llm.questions.answered"}' in (await world.http.get("/metrics")).text

    await until(told, what="the fetch role tells of it")


async def test_postgresql_gone_while_the_model_answers(world: World) -> None:
    users = await world.ask("postgresql")
    before = {one.user_id for one in await world.pipeline.read(CONTENT)}
    async with world.gone(world.database, "database", (200, "degraded")):
        await world.shows("dora", await world.act("dora"))
        assert {one.user_id for one in await world.pipeline.read(CONTENT)} == before
    await world.answered(users)
    connection = await asyncpg.connect(world.pipeline.addresses.database_url)
    try:

        async def archived() -> bool:
            count = await connection.fetchval(
                "SELECT count(DISTINCT event_id) FROM interactions WHERE user_id = 'dora'"
            )
            return bool(count == EVENTS)

        await until(archived, what="every interaction in the archive")
    finally:
        await connection.close()
