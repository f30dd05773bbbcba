"""What users state, on real servers: changes add up, nothing is lost with a store, and what is forgotten is gone."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.context import Clients
from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.user_profile_store import RedisUserProfileStore
from infra.settings import Settings
from schemas.types import Profile
from tests.build import a_profile, a_profile_update, a_trigger, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import ITEMS, PROFILE_UPDATES, PROFILES, TRIGGERS


@dataclass
class World:
    """A pipeline and a client of the API."""

    pipeline: Pipeline
    http: httpx.AsyncClient

    async def put(self, user_id: str, **preferences: Any) -> dict[str, Any]:
        """State some preferences and return the answer."""
        answer = await self.http.put(f"/api/v1/user-profile/{user_id}/preferences", json=preferences)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def stated(self, user_id: str) -> dict[str, Any]:
        """Return what a user has stated, as the API reads it."""
        answer = await self.http.get(f"/profile/{user_id}")
        if answer.status_code == 404:
            return {}
        body = answer.json()
        return dict({name: value for name, value in body["stated"].items() if value} | {"segment": body["segment"]})

    async def comes_to(self, user_id: str, **expected: Any) -> None:
        """Wait until just this is stated."""
        expected = {"segment": ""} | expected

        async def there() -> bool:
            return await self.stated(user_id) == expected

        try:
            await until(there, timeout_s=30)
        except TimeoutError:
            assert await self.stated(user_id) == expected

    async def known(self, user_id: str) -> tuple[str, list[str], list[str], str | None, str]:
        """Return what feeds are ranked by of what a user has stated."""
        user_features = (await self.pipeline.features())[user_id]
        return (
            user_features.segment,
            user_features.preferred,
            user_features.muted,
            user_features.city,
            user_features.timezone,
        )


@pytest.fixture
async def world(stack: Addresses, tmp_path: Path) -> AsyncIterator[World]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        clients = Clients(
            publisher=pipeline.publisher,
            feeds=RedisFeedStore(pipeline.redis),
            items=RedisItemStore(pipeline.redis),
            user_profiles=RedisUserProfileStore(pipeline.redis),
        )
        await pipeline.publish(ITEMS, [an_item(f"i{n}") for n in range(3)])
        transport = httpx.ASGITransport(create_app(Settings(), clients))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            yield World(pipeline, http)


async def test_changes_right_after_one_another_all_hold(world: World) -> None:
    await world.pipeline.start("feed,log,trainer,links")
    await world.put("kim", categories=["music"])
    await world.put("kim", muted=["sports"])
    await world.comes_to("kim", categories=["music"], muted=["sports"])

    whole = {"segment": "25-34", "locale": "ja-JP", "attributes": {"age": 31}, "topics": ["jazz"]}
    assert (await world.http.post("/profile", json={"user_id": "lee"} | whole)).status_code == 202
    await world.put("lee", city="Lisbon", timezone="Europe/Lisbon")
    expected = whole | {"attributes": {"age": "31"}, "city": "Lisbon", "timezone": "Europe/Lisbon"}
    await world.comes_to("lee", **expected)

    await world.pipeline.redis.flushdb()
    await world.put("lee", muted=["sports"])
    await world.comes_to("lee", **expected, muted=["sports"])
    await world.pipeline.settle()
    assert await world.known("lee") == ("25-34", ["jazz"], ["sports"], "Lisbon", "Europe/Lisbon")
    newest: dict[str, Profile] = await world.pipeline.newest(PROFILES)
    assert newest["lee"].attributes == {"age": "31"}, "compaction keeps all that is stated"
    assert await world.pipeline.dead_letters() == []


async def test_changes_through_a_crash_add_up(world: World) -> None:
    users = [f"u{n}" for n in range(8)]
    worker = await world.pipeline.start("feed,log")
    for n in range(30):
        for user_id in users:
            update = a_profile_update(
                event_id=str(uuid.uuid4()),
                user_id=user_id,
                occurred_at=clock.now_ms(),
                **({"categories": [f"c{n}"]} if n % 2 else {"topics": [f"t{n}"]}),
            )
            await world.pipeline.publish(PROFILE_UPDATES, [update])
        if n in (9, 19):
            await world.pipeline.kill(worker)
            worker = await world.pipeline.start("feed,log")
    for user_id in users:
        await world.comes_to(user_id, categories=["c29"], topics=["t28"])


async def test_a_whole_profile_of_another_producer_and_changes_meet(world: World) -> None:
    await world.pipeline.start("feed,log,trainer,links")
    at_ms = clock.now_ms() - 60_000
    foreign = a_profile(user_id="mo", categories=["film"], city="Oslo", segment="x", occurred_at=at_ms)
    await world.pipeline.publish(PROFILES, [foreign])
    await world.put("mo", categories=["music"])
    await world.comes_to("mo", categories=["music"], city="Oslo", segment="x")
    late = a_profile(user_id="mo", categories=["late"], city="Late", occurred_at=at_ms - 1)
    await world.pipeline.publish(PROFILES, [late])
    await world.pipeline.settle()
    await world.comes_to("mo", categories=["music"], city="Oslo", segment="x")
    assert (await world.pipeline.newest(PROFILES))["mo"].city == "Oslo"
    assert (await world.known("mo"))[3] == "Oslo"


async def test_what_was_stated_before_there_was_an_owner_is_kept(world: World) -> None:
    profile = a_profile(
        user_id="old", categories=["film"], city="Oslo", segment="x", occurred_at=clock.now_ms() - 60_000
    )
    await world.pipeline.publish(PROFILES, [profile])
    worker = await world.pipeline.start("feed,log,trainer,links")
    await world.pipeline.settle()
    assert await world.pipeline.stop(worker) == 0
    await world.pipeline.lose("millrace-profiles-changelog")
    await world.pipeline.start("feed,log,trainer,links", worker_id="1")
    await world.put("old", muted=["horror"])
    await world.comes_to("old", categories=["film"], city="Oslo", segment="x", muted=["horror"])


@pytest.mark.parametrize("how", ["http", "tombstone"])
async def test_a_profile_that_is_forgotten_is_gone_everywhere_and_may_be_stated_anew(world: World, how: str) -> None:
    await world.pipeline.start("feed,log,trainer,links")
    whole = {"categories": ["film"], "muted": ["horror"], "city": "Oslo", "segment": "x", "timezone": "Europe/Oslo"}
    assert (await world.http.post("/profile", json={"user_id": "mo"} | whole)).status_code == 202
    await world.comes_to("mo", **whole)
    await world.pipeline.settle()
    assert await world.known("mo") == ("x", ["film"], ["horror"], "Oslo", "Europe/Oslo")

    if how == "http":
        assert (await world.http.delete("/profile/mo")).status_code == 202
    else:
        world.pipeline.publisher.produce_bytes(PROFILES, b"mo", None)
        await world.pipeline.publisher.flush()
    await world.pipeline.settle()
    await world.comes_to("mo")
    assert await world.known("mo") == ("", [], [], None, "")
    assert "mo" not in await world.pipeline.newest(PROFILES)
    assert await world.pipeline.redis.get("profile:mo") is None
    assert b"Oslo" not in await world.pipeline.redis.get("portrait:mo")

    await world.put("mo", topics=["jazz"])
    await world.comes_to("mo", topics=["jazz"])
    assert await world.pipeline.dead_letters() == []


async def test_what_cannot_be_done_becomes_a_dead_letter_that_says_so(world: World) -> None:
    await world.pipeline.start("feed,log,trainer,links")
    erase = a_trigger(event_id="erase", user_id="mo", kind="erase", occurred_at=clock.now_ms())
    unknown = a_trigger(event_id="unknown", user_id="mo", kind="unknown", occurred_at=clock.now_ms())
    await world.pipeline.publish(TRIGGERS, [erase, unknown])
    world.pipeline.publisher.produce_bytes(PROFILES, b"\xff", None)
    await world.pipeline.publisher.flush()
    await world.pipeline.settle()
    letters = sorted((letter.topic, letter.reason, letter.detail) for letter in await world.pipeline.dead_letters())
    assert [(topic, reason) for topic, reason, _ in letters] == [
        (PROFILES.name, "wrong_key"),
        (TRIGGERS.name, "out_of_range"),
        (TRIGGERS.name, "out_of_range"),
    ]
    assert "erase is not supported" in letters[1][2]
    assert "DELETE /profile" in letters[1][2]
    assert letters[2][2] == "kind is not one that is known here"
