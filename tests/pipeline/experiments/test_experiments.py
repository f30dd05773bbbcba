"""An experiment over the real servers: arms rank differently, a crash repeats no exposure, every change has effect."""

from __future__ import annotations

import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import msgspec

from domain.experiment_assignment import arm_of
from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from schemas.types import Exposure, Feed, Trigger
from tests.build import an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import EXPERIMENTS, EXPOSURES, FEEDS, INTERACTIONS, ITEMS, TRIGGERS

WITHIN_S = 180.0
LIKED = {"jazz0", "jazz1", "jazz2"}
"""Items that all users like, and that feeds do not show again."""
USERS = [f"u{number}" for number in range(24)]
SHARES = {"familiar": 0.5, "surprising": 0.5}
DEFINITION = {
    "experiment_id": "surprise",
    "name": "Surprises",
    "status": "running",
    "arms": [
        {"name": "familiar", "parameters": {"SERENDIPITY_WEIGHT": 0}},
        {"name": "surprising", "parameters": {"SERENDIPITY_WEIGHT": 10}},
    ],
}
ONE = "/ab/experiments/surprise"
ARMS = {user_id: arm_of("surprise", SHARES, user_id) for user_id in USERS}


class Experiment:
    """A pipeline with an API, and listeners of jazz in it."""

    def __init__(self, pipeline: Pipeline, http: httpx.AsyncClient) -> None:
        self.pipeline, self.http = pipeline, http
        self._feeds, self._definition_count = RedisFeedStore(pipeline.redis), 0

    async def send(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request that changes the definition, and wait until the worker knows of it."""
        answer = await self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        await self.is_known()
        experiment: dict[str, Any] = answer.json()
        return experiment

    async def is_known(self) -> None:
        """Wait until the worker has read one definition more."""
        self._definition_count += 1
        await self.is_ready()

    async def is_ready(self) -> None:
        """Wait until a worker has read all definitions."""

        async def has_read() -> bool:
            beats = [beat for beat in await self.pipeline.roles() if beat["role"] == "feed"]
            return any(
                sum(offset for name, offset in beat["global_tables"].items() if name.startswith(EXPERIMENTS.name))
                >= self._definition_count
                for beat in beats
            )

        await until(has_read, timeout_s=WITHIN_S, what="the definitions in the worker")

    async def like(self) -> dict[str, Feed]:
        """Have all users like some jazz, and return their feeds of after that."""
        now_ms = clock.now_ms()
        likes = [
            an_interaction(
                event_id=str(uuid.uuid4()), user_id=user_id, item_id=item_id, action="like", occurred_at=now_ms
            )
            for user_id in USERS
            for item_id in sorted(LIKED)
        ]
        await self.pipeline.publish(INTERACTIONS, likes)
        return await self._feeds_since(now_ms)

    async def rank(self) -> dict[str, Feed]:
        """Have all users ranked again, and return their feeds."""
        now_ms = clock.now_ms()
        triggers = [
            Trigger(event_id=str(uuid.uuid4()), user_id=user_id, kind="refresh", occurred_at=now_ms)
            for user_id in USERS
        ]
        await self.pipeline.publish(TRIGGERS, triggers)
        return await self._feeds_since(now_ms)

    async def _feeds_since(self, at_ms: int) -> dict[str, Feed]:
        async def are_new() -> dict[str, Feed]:
            feeds = {feed.user_id: feed for feed in await self._feeds.read(USERS) if feed is not None}
            is_new = all(
                user_id in feeds
                and feeds[user_id].generated_at >= at_ms
                and not LIKED.intersection(feeds[user_id].items)
                for user_id in USERS
            )
            return feeds if is_new else {}

        feeds: dict[str, Feed] = await until(are_new, timeout_s=WITHIN_S, what="new feeds")
        return feeds

    async def exposures(self) -> list[Exposure]:
        """Return the exposures once all users have one."""

        async def complete() -> list[Exposure]:
            exposures = await self.pipeline.read(EXPOSURES)
            return exposures if {one.user_id for one in exposures} == set(USERS) else []

        exposures: list[Exposure] = await until(complete, timeout_s=WITHIN_S, what="the exposures")
        return exposures


def first_labels(feeds: dict[str, Feed]) -> dict[str, str]:
    """Return the kind of music that each feed begins with, by user."""
    return {user_id: feeds[user_id].items[0].rstrip("0123456789") for user_id in USERS}


async def test_an_experiment_runs_survives_a_crash_and_its_winner_serves_all(
    stack: Addresses, tmp_path: Path, unused_tcp_port: int
) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        worker = await pipeline.start()
        await pipeline.start("log")
        items = [
            an_item(f"{label}{n}", topics=[label], category=label) for label in ("jazz", "polka") for n in range(30)
        ]
        await pipeline.publish(ITEMS, items)
        url = await pipeline.start_api(unused_tcp_port)
        async with httpx.AsyncClient(base_url=url, timeout=30.0) as http:
            experiment = Experiment(pipeline, http)
            await experiment.send("POST", "/ab/experiments", DEFINITION)
            feeds = await experiment.like()
            assert {user_id: feed.arms["surprise"] for user_id, feed in feeds.items()} == ARMS
            kinds = {"familiar": "jazz", "surprising": "polka"}
            assert first_labels(feeds) == {user_id: kinds[arm] for user_id, arm in ARMS.items()}
            assert min(Counter(ARMS.values()).values()) > 3

            exposures = await experiment.exposures()
            assert {one.user_id: one.arm for one in exposures} == ARMS
            await pipeline.kill(worker)
            await pipeline.start(worker_id="1")
            await experiment.is_ready()
            assert first_labels(await experiment.like()) == first_labels(feeds)
            later_exposures = await experiment.exposures()
            assert {one.event_id for one in later_exposures} == {one.event_id for one in exposures}
            assert len({one.event_id for one in later_exposures}) == len(USERS)

            await _check_changes(experiment)


async def _check_changes(experiment: Experiment) -> None:
    pipeline = experiment.pipeline
    definition = await experiment.send("PATCH", ONE, {"status": "paused"})
    assert (definition["status"], definition["winner"]) == ("paused", "")
    feeds = await experiment.rank()
    assert set(first_labels(feeds).values()) == {"jazz"}
    assert not any(feed.arms for feed in feeds.values())

    status, out, err = await pipeline.millrace("experiments", "promote", "surprise", "surprising", "--json")
    assert status == 0, err
    assert msgspec.json.decode(out)["winner"] == "surprising"
    await experiment.is_known()
    assert set(first_labels(await experiment.rank()).values()) == {"polka"}
    newest = (await pipeline.newest(FEEDS))["u1"]
    status, out, err = await pipeline.millrace("explain", "u1", newest.items[0], "--json")
    assert status == 0, err
    assert msgspec.json.decode(out)["comparison"]["is_equal"]

    async def is_projected() -> bool:
        return bool((await experiment.http.get(ONE)).json()["winner"])

    await until(is_projected, what="the winner in the read model")
    await experiment.send("POST", f"{ONE}/rollback")
    assert set(first_labels(await experiment.rank()).values()) == {"jazz"}
    status, out, _ = await pipeline.millrace("experiments", "--json")
    assert [(one["experiment_id"], one["status"], one["winner"]) for one in msgspec.json.decode(out)] == [
        ("surprise", "completed", "")
    ]
    status, _, err = await pipeline.millrace("experiments", "start", "surprise")
    assert (status, "cannot become running" in err) == (1, True)
    await _check_creation(pipeline)


async def _check_creation(pipeline: Pipeline) -> None:
    file = pipeline.home / "experiment.json"
    file.write_bytes(msgspec.json.encode(DEFINITION | {"experiment_id": "again", "status": "draft"}))
    status, out, err = await pipeline.millrace("experiments", "create", str(file))
    assert (status, out) == (0, "again is draft.\n"), err
    arms = [{"name": "a"}, {"name": "b", "parameters": {"fresh": 2}}]
    file.write_bytes(msgspec.json.encode({"name": "Fresh", "arms": arms}))
    status, _, err = await pipeline.millrace("experiments", "create", str(file))
    assert (status, "known are ALLOW_REPEAT_ITEMS" in err) == (1, True)
    _, table, _ = await pipeline.millrace("experiments")
    assert all(word in table for word in ("again", "draft", "familiar", "surprise", "completed"))
