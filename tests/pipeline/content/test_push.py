"""Pushes on real servers, the push service a double: once, not in quiet hours, and what a crash makes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from api.context import Clients
from infra.address import Addresses
from infra.fakes.fake_fcm import FakeFcm, Fault
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.push_store import RedisPushStore
from infra.settings import Settings
from schemas.types import Feed
from tests.build import a_feed, a_push_request, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, local_ms, until
from topics.topic import FEEDS, PUSH_REQUESTS

NIGHT = {"quiet_hours": {"start": "22:00", "end": "08:00", "timezone": "America/New_York"}}
OLD = [f"old-{n}" for n in range(8)]
NEW = ["jazz-tonight", "jazz-tomorrow", "jazz-late"]
SCORES = [9.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
_versions = count(1)


def ms(text: str) -> int:
    """Return a time in New York in ms since the epoch."""
    return local_ms(text, "America/New_York")


@dataclass
class World:
    """A pipeline with a push service, a client of the API, and a clock."""

    pipeline: Pipeline
    fcm: FakeFcm
    http: httpx.AsyncClient
    env: dict[str, str]
    worker: asyncio.subprocess.Process | None = None

    async def start(self, **env: str) -> None:
        """Start the push worker."""
        self.worker = await self.pipeline.start_module("tests.pipeline.content.push_worker", **(self.env | env))

    async def kill(self) -> None:
        """Kill the push worker as a crash would."""
        assert self.worker is not None
        await self.pipeline.kill(self.worker)

    def at(self, text: str) -> None:
        """Set the clock to a time in New York."""
        self.pipeline.set_clock(ms(text))

    async def register(self, user_id: str, **preferences: Any) -> None:
        """Register a phone and wait until it is known."""
        body = {"user_id": user_id, "token": f"phone of {user_id}", "platform": "ios", "preferences": preferences}
        assert (await self.http.post("/push/register", json=body)).status_code == 202
        await until(lambda: self.devices(user_id), what=f"{user_id} registered")

    async def devices(self, user_id: str) -> list[dict[str, Any]]:
        """Return a user's devices as the API tells them."""
        answer = await self.http.get(f"/push/preferences/{user_id}")
        return list(answer.json()["devices"]) if answer.status_code == 200 else []

    async def decisions(self, user_id: str) -> list[dict[str, Any]]:
        """Return what was decided, newest first."""
        answer = await self.http.get(f"/notifications/{user_id}")
        return list(answer.json()["notifications"])

    async def statuses(self, user_id: str) -> list[str]:
        """Return the decisions, oldest first."""
        return [notification["status"] for notification in reversed(await self.decisions(user_id))]

    async def comes_to(self, user_id: str, *statuses: str) -> None:
        """Wait until just these decisions were made."""

        async def there() -> bool:
            return await self.statuses(user_id) == list(statuses)

        try:
            await until(there)
        except TimeoutError:
            assert await self.statuses(user_id) == list(statuses)

    async def publish(self, user_id: str, **new: float) -> Feed:
        """Publish a feed in which new items have some scores, by id."""
        scores = sorted([*zip(OLD, SCORES, strict=True), *new.items()], key=lambda pair: -pair[1])
        feed = a_feed(
            user_id=user_id,
            features_version=next(_versions),
            items=[item_id for item_id, _ in scores],
            scores=[score for _, score in scores],
            sources=["trending"] * len(scores),
            reasons=["Because you like jazz"] * len(scores),
            parts={},
        )
        await self.pipeline.publish(FEEDS, [feed])
        return feed

    def delivered(self, user_id: str) -> list[str]:
        """Return the items, or titles, that reached a user's phone."""
        messages = [
            push_message.message for push_message in self.fcm.deliveries if push_message.token == f"phone of {user_id}"
        ]
        return [message["data"].get("item_id", message["notification"]["title"]) for message in messages]


@pytest.fixture(scope="module")
async def world(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home: Path = tmp_path_factory.mktemp("push")
    fcm = FakeFcm()
    async with a_pipeline(stack, home) as pipeline, fcm.serve() as url:
        clients = Clients(
            publisher=pipeline.publisher,
            feeds=RedisFeedStore(pipeline.redis),
            items=RedisItemStore(pipeline.redis),
            push_store=RedisPushStore(pipeline.redis),
        )
        transport = httpx.ASGITransport(create_app(Settings(), clients))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            env = {"FCM_SERVICE_ACCOUNT": fcm.service_account(url), "FCM_BASE_URL": url, "FCM_CONCURRENCY": "1"}
            world = World(pipeline, fcm, http, env)
            world.at("2023-11-17 18:00")
            items = [an_item(item_id, created_at=0) for item_id in OLD]
            items += [
                an_item(item_id, created_at=ms("2023-11-17 18:00"))
                for item_id in ("jazz-tonight", "jazz-tomorrow", "jazz-late")
            ]
            await RedisItemStore(pipeline.redis).write(items)
            yield world


async def test_without_an_account_pushes_are_decided_and_published_but_not_sent(world: World) -> None:
    await world.start(FCM_SERVICE_ACCOUNT="")
    await world.register("nora")
    await world.http.post("/push/send", json={"user_id": "nora", "title": "Hello"})
    await world.comes_to("nora", "not_configured")
    assert world.worker is not None
    assert await world.pipeline.stop(world.worker) == 0
    assert world.fcm.attempts == 0


async def test_a_new_item_that_stands_out_is_pushed_once_and_at_night_in_the_morning(world: World) -> None:
    await world.start()
    await world.register("alex", **NIGHT)
    for _ in range(3):
        await world.publish("alex")
    await world.publish("alex", **{"jazz-late": 9.0})
    await world.comes_to("alex", "not_worth_it")
    world.at("2023-11-17 19:00")
    stands_out = await world.publish("alex", **{"jazz-tonight": 14.0})
    await world.comes_to("alex", "not_worth_it", "sent")
    decision = (await world.decisions("alex"))[0]
    assert (decision["item_id"], decision["link"], decision["body"]) == (
        *("jazz-tonight", "/item/jazz-tonight"),
        "Because you like jazz",
    )

    await world.pipeline.publish(FEEDS, [stands_out])
    await world.publish("alex", **{"jazz-tonight": 15.0})
    await world.pipeline.pushed()
    assert world.delivered("alex") == ["jazz-tonight"]

    world.at("2023-11-17 23:00")
    await world.publish("alex", **{"jazz-tomorrow": 30.0})
    await world.comes_to("alex", "not_worth_it", "sent", "quiet_hours")
    assert (await world.decisions("alex"))[0]["due_at"] == ms("2023-11-18 08:00")
    world.at("2023-11-18 07:59")
    await world.pipeline.pushed()
    await world.kill()
    await world.start()
    await world.publish("bo", **{"jazz-tomorrow": 30.0})
    await world.pipeline.pushed()
    assert world.delivered("alex") == ["jazz-tonight"]

    world.at("2023-11-18 08:00")
    await world.comes_to("alex", "not_worth_it", "sent", "quiet_hours", "sent")
    await world.pipeline.pushed()
    assert world.delivered("alex") == ["jazz-tonight", "jazz-tomorrow"]
    assert len({message.notification_id for message in world.fcm.deliveries}) == 2
    assert await world.decisions("bo") == [], "of those without a device nothing is decided"


async def test_a_worker_killed_between_sending_and_noting_sends_once_more_with_the_same_id(world: World) -> None:
    world.at("2023-11-18 12:00")
    await world.register("kim")
    world.fcm.faults.extend([None, "lost"])
    hellos = [a_push_request(user_id="kim", kind="send", token=None, title=title) for title in ("Hello", "Hello again")]
    await world.pipeline.publish(PUSH_REQUESTS, hellos)
    await until(lambda: len(world.delivered("kim")) == 2, what="both pushes to arrive, the answer to one lost")
    await world.kill()
    assert "Hello again" not in [notification["title"] for notification in await world.decisions("kim")]
    await world.start()
    await world.comes_to("kim", "sent", "sent")
    await world.pipeline.pushed()
    assert world.delivered("kim") == ["Hello", "Hello again", "Hello again"]
    ids = [message.notification_id for message in world.fcm.deliveries if message.token == "phone of kim"]
    assert ids[1] == ids[2] != ids[0]


async def test_a_device_belongs_to_its_last_user_though_workers_are_killed(world: World) -> None:
    world.at("2023-11-18 12:30")
    phone = {"token": "the shared phone", "platform": "android"}

    async def register(user_id: str) -> None:
        assert (await world.http.post("/push/register", json={"user_id": user_id, **phone})).status_code == 202

    async def owned_by(owner: str, *others: str) -> None:
        async def there() -> bool:
            return bool(await world.devices(owner)) and not any([await world.devices(user_id) for user_id in others])

        await until(there, what=f"the phone to be {owner}'s alone")

    users = ["ada", "ben", "cleo", "dov"]
    for number, user_id in enumerate(users):  # of different partitions
        await register(user_id)
        if number == 2:
            await world.kill()
    await world.start()
    await owned_by("dov", "ada", "ben", "cleo")
    await register("ada")
    await owned_by("ada", "ben", "cleo", "dov")
    await world.http.post("/push/unregister", json={"user_id": "dov", "token": phone["token"]})
    await world.pipeline.pushed()
    for user_id in users:
        await world.http.post("/push/send", json={"user_id": user_id, "title": f"For {user_id}"})
    for user_id in users:
        await world.comes_to(user_id, "sent" if user_id == "ada" else "unregistered")
    messages = [push_message.message for push_message in world.fcm.deliveries if push_message.token == phone["token"]]
    assert [message["notification"]["title"] for message in messages] == ["For ada"]
    await world.http.post("/push/unregister", json={"user_id": "ada", "token": phone["token"]})

    async def gone() -> bool:
        return not await world.devices("ada")

    await until(gone, what="the phone to be nobody's")


async def test_preferences_that_are_changed_one_by_one_add_up(world: World) -> None:
    await world.register("pat", value_threshold=2.0)
    for body in ({"categories": ["jazz"]}, NIGHT, {"value_threshold": 3.0}):
        assert (await world.http.patch("/push/preferences/pat", json=body)).status_code == 202
    fields = {"categories": ["jazz"], "value_threshold": 3.0, **NIGHT}

    async def merged() -> bool:
        return bool((await world.http.get("/push/preferences/pat")).json()["preferences"] == fields)

    await until(merged, what="the preferences to add up")


async def test_a_device_that_is_gone_is_forgotten(world: World) -> None:
    await world.register("lee")
    world.fcm.unregistered_tokens.add("phone of lee")
    await world.http.post("/push/batch", json={"user_ids": ["lee", "mo"], "title": "Hello"})
    await world.comes_to("lee", "unregistered")
    await world.comes_to("mo", "unregistered")

    async def forgotten() -> bool:
        return await world.devices("lee") == []

    await until(forgotten, what="the device to be forgotten")
    attempts = world.fcm.attempts
    await world.http.post("/notifications/send", json={"user_id": "lee", "title": "Hello again"})
    await world.comes_to("lee", "unregistered", "unregistered")
    assert world.fcm.attempts == attempts


@pytest.mark.parametrize(
    ("fault", "attempts", "reason", "then"),
    [
        ("unauthorized", 2, "401 UNAUTHENTICATED", ["sent"]),
        ("quota", 1, "429 QUOTA_EXCEEDED", ["sent"]),
        ("unavailable", 1, "503 UNAVAILABLE", ["sent"]),
        ("not_found", 1, "404 NOT_FOUND", []),
    ],
)
async def test_what_is_put_off_is_tried_again_when_the_pause_is_over_and_says_why(
    world: World, fault: Fault, attempts: int, reason: str, then: list[str]
) -> None:
    user_id = f"user-{fault}"
    world.at("2023-11-18 13:00")
    await world.register(user_id)
    world.fcm.retry_after = "90"
    world.fcm.faults.extend([fault] * attempts)
    before = world.fcm.attempts
    await world.http.post("/push/send", json={"user_id": user_id, "title": "Hello"})
    first = "retrying" if then else "failed"
    await world.comes_to(user_id, first)
    assert reason in (await world.decisions(user_id))[0]["reason"]
    assert (world.delivered(user_id), world.fcm.attempts - before) == ([], attempts)
    world.at("2023-11-18 13:01:30")
    await world.comes_to(user_id, first, *then)
    await world.pipeline.pushed()
    assert world.delivered(user_id) == ["Hello"] * len(then)
    assert await world.pipeline.dead_letters() == []


async def test_a_push_that_waits_is_withdrawn_when_its_item_is_deleted(world: World) -> None:
    store = RedisItemStore(world.pipeline.redis)
    world.at("2023-11-18 23:00")
    night = [an_item(item_id, created_at=ms("2023-11-18 22:00")) for item_id in ("night-jazz", "night-rock")]
    await store.write(night)
    await world.register("pat", **NIGHT)
    for _ in range(3):
        await world.publish("pat")
    await world.publish("pat", **{"night-jazz": 30.0})
    await world.publish("pat", **{"night-jazz": 30.0, "night-rock": 90.0})
    await world.http.post("/push/send", json={"user_id": "pat", "title": "Hello"})
    await world.comes_to("pat", "quiet_hours", "quiet_hours", "quiet_hours")
    await store.delete(["night-jazz"])
    world.at("2023-11-19 08:00")

    async def decided() -> bool:
        return len(await world.statuses("pat")) == 6

    await until(decided, what="what became of all three")
    became = {one["item_id"]: one["status"] for one in reversed(await world.decisions("pat"))}
    assert became == {"night-jazz": "withdrawn", "night-rock": "sent", None: "sent"}
    await world.pipeline.pushed()
    assert sorted(world.delivered("pat")) == ["Hello", "night-rock"]
