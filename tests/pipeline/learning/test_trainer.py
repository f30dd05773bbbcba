"""The trainer on the real stack: fits are promoted, refused, asked for, rolled back and survive a restart."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from api.app import create_app
from api.context import Clients
from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.item_store import RedisItemStore
from infra.redis.stores.model_status import REFUSED, REPLACED, SERVING, RedisModelStatusStore
from infra.settings import Settings
from models.artifact import read_header
from models.blend.blender import Blender
from schemas.types import Interaction, ModelVersion, Trigger
from streams.core.learning.learner import Learner
from streams.core.position import Position
from streams.core.ranking.pipeline import MODEL
from streams.core.ranking.ranking_query import CLASSES
from streams.core.ranking.stages.features import PRIOR
from streams.roles.trainer.learner_params import learner_params
from streams.roles.trainer.model_version import REFUSED_MODEL, record
from tests.build import T0_MS, a_choice, a_version, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import CHOICES, INTERACTIONS, ITEM_WEIGHTS, ITEMS, MODEL_VERSIONS, TRIGGERS

USERS, ITEM_COUNT, EVENTS = 60, 40, 900
ON_DEMAND = {"MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
WITHIN_S = 120.0


def events() -> list[Interaction]:
    """Return a stream in which each user keeps to the even items or to the odd ones."""
    draw = random.Random(0)
    items_by_user = {user: draw.sample(range(user % 2, ITEM_COUNT, 2), ITEM_COUNT // 2) for user in range(USERS)}
    replayed_events = []
    for number in range(EVENTS):
        user = draw.choice([user for user in items_by_user if items_by_user[user]])
        at_ms = T0_MS + 60_000 * number
        item_id = f"i{items_by_user[user].pop()}"
        replayed_events.append(
            an_interaction(event_id=str(uuid.uuid4()), user_id=f"u{user}", item_id=item_id, occurred_at=at_ms)
        )
    return replayed_events


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline with a catalogue and 900 events, at which no role works yet."""
    async with a_pipeline(stack, tmp_path) as pipeline:
        items = [an_item(f"i{n}", category=f"c{n % 5}", topics=[], created_at=T0_MS - 1) for n in range(ITEM_COUNT)]
        await pipeline.publish(ITEMS, items)
        await pipeline.publish(INTERACTIONS, events())
        yield pipeline


async def in_service(pipeline: Pipeline) -> ModelVersion:
    version: ModelVersion = (await pipeline.newest(MODEL_VERSIONS))[MODEL]
    return version


async def tastes_of(pipeline: Pipeline) -> set[str]:
    """Return the versions that the tastes on their topic are of."""
    return {row.model_version for row in (await pipeline.newest(ITEM_WEIGHTS)).values()}


async def sources(pipeline: Pipeline) -> set[str]:
    """Have everyone ranked again, and return the sources whose say is in their feeds."""
    users = [f"u{user}" for user in range(USERS)]
    await pipeline.rerank(users, now_ms=T0_MS + 60_000 * EVENTS)
    feeds = await RedisFeedStore(pipeline.redis).read(users)
    return {source for feed in feeds if feed is not None for source in feed.parts}


async def test_a_fit_is_promoted_and_the_running_workers_use_it(pipeline: Pipeline) -> None:
    await pipeline.start("feed")
    await pipeline.start("trainer,links", **ON_DEMAND)
    await pipeline.settle()
    assert "taste" not in await sources(pipeline)
    version = await pipeline.fit()
    assert (version.status, version.events) == (SERVING, EVENTS)
    assert "of the weights before any fit" in version.reason
    assert version.metrics["hr@10"] > 2 * 10 / ITEM_COUNT
    told_version = await in_service(pipeline)
    assert (told_version.version, told_version.status) == (version.version, SERVING)
    assert await tastes_of(pipeline) == {version.version}
    assert "taste" in await sources(pipeline)
    assert (await pipeline.board()).serving == version.version
    assert (pipeline.home / "models" / MODEL / f"{version.version}.safetensors").is_file()


async def test_tastes_of_another_model_serve_where_it_is_configured(pipeline: Pipeline) -> None:
    await pipeline.start("feed")
    await pipeline.start("trainer,links", **ON_DEMAND, ITEM_ITEM_MODEL="als", COLLABORATIVE_FACTORS="8")
    await pipeline.settle()
    version = await pipeline.fit()
    assert version.status == SERVING
    header = read_header(pipeline.home / "models" / MODEL / f"{version.version}.safetensors")
    assert header.settings["taste_model"] == "als"
    assert await tastes_of(pipeline) == {version.version}
    assert "taste" in await sources(pipeline)


async def test_a_worse_fit_is_refused_and_what_serves_goes_on(pipeline: Pipeline) -> None:
    await pipeline.publish(MODEL_VERSIONS, [clairvoyant()])
    await pipeline.start("trainer", **ON_DEMAND, MODEL_PROMOTION_TOLERANCE="0", MODEL_PUBLISH_INTERVAL_S="0")
    version = await pipeline.fit()
    assert version.status == REFUSED, version.reason
    assert version.reason.startswith("worse: NDCG@10")
    newest = await pipeline.newest(MODEL_VERSIONS)
    assert (newest[MODEL].version, newest[MODEL].status) == ("clairvoyant", SERVING)
    refusal = newest[REFUSED_MODEL]
    assert (refusal.version, refusal.status, refusal.reason) == (version.version, REFUSED, version.reason)
    assert (await pipeline.board()).serving == "clairvoyant"
    assert not await tastes_of(pipeline)
    status, out, _ = await pipeline.millrace("train", "--json")
    assert (status, msgspec.json.decode(out)["status"]) == (1, REFUSED)


def clairvoyant() -> ModelVersion:
    """Return weights that were told the outcomes over and over."""
    learner = Learner(learner_params(Settings()))
    outcomes: list[Any] = []
    learner.on_outcome = lambda look, choice: outcomes.append((look, choice))
    for number in range(ITEM_COUNT):
        learner.catalog.apply_item(an_item(f"i{number}", category=f"c{number % 5}", topics=[], created_at=T0_MS - 1))
    for number, event in enumerate(events()):
        learner.learn(event, Position(0, number, number + 1))
    blender = Blender(PRIOR, CLASSES, rate=1.0)
    for look, choice in 30 * outcomes[-180:]:
        members = np.flatnonzero(look.is_admissible)
        blender.learn(look.features.subset(members), int(members.searchsorted(choice)), look.query.context)
    version = a_version(version="clairvoyant", reason="a test", created_at=clock.now_ms())
    return record(version, list(blender.features), blender.state())


async def test_one_command_rolls_back_and_the_trainer_goes_on_from_there(pipeline: Pipeline) -> None:
    await pipeline.start("trainer", **ON_DEMAND)
    first = await pipeline.fit()
    more = [an_interaction(event_id=str(uuid.uuid4()), user_id="u1", item_id="i2", occurred_at=T0_MS + 10**9)]
    await pipeline.publish(INTERACTIONS, more)
    second = await pipeline.fit()
    assert second.status == SERVING
    assert (second.events, await tastes_of(pipeline)) == (EVENTS + 1, {second.version})

    status, out, err = await pipeline.millrace("models", "rollback", "--reason", "a test", "--json")
    assert status == 0, err
    body = msgspec.json.decode(out)
    assert (body["version"], body["reason"]) == (first.version, f"rolled back from {second.version}: a test")
    serving = await in_service(pipeline)
    assert (serving.version, serving.reason) == (first.version, body["reason"])
    assert await tastes_of(pipeline) == {first.version}

    async def followed() -> bool:
        return (await pipeline.board()).serving == first.version

    await until(followed, what="the trainer to go on from the first version")
    status, out, _ = await pipeline.millrace("models", "--json")
    assert [(one["version"], one["status"]) for one in msgspec.json.decode(out)] == [
        (second.version, REPLACED),
        (first.version, SERVING),
    ]
    status, _, err = await pipeline.millrace("models", "rollback")
    assert (status, "There is no version before" in err) == (1, True)


async def test_a_call_over_http_is_answered_with_202_and_then_by_the_trainer(pipeline: Pipeline) -> None:
    await pipeline.start("trainer", **ON_DEMAND)
    clients = Clients(
        publisher=pipeline.publisher,
        feeds=RedisFeedStore(pipeline.redis),
        items=RedisItemStore(pipeline.redis),
        model_status=RedisModelStatusStore(pipeline.redis),
    )
    transport = httpx.ASGITransport(create_app(Settings(), clients))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.post("/retrain")
        assert answer.status_code == 202
        version = await pipeline.fitted(answer.json()["event_id"])
        body = (await http.get("/metrics/models")).json()
    assert (body["model"], body["serving"]) == (MODEL, version.version)
    assert body["versions"][0]["metrics"] == body["metrics"] == version.metrics
    assert 0 <= body["age_s"] < WITHIN_S
    assert body["training"]["state"] == "idle"


async def test_a_restart_goes_on_from_the_weights_in_service(pipeline: Pipeline) -> None:
    at_once = ON_DEMAND | {"MODEL_PUBLISH_INTERVAL_S": "0.1"}

    async def follows() -> bool:
        return any(beat["role"] == "trainer" and beat["positions"] for beat in await pipeline.roles())

    async def chosen(user_id: str, version: str) -> ModelVersion:
        """Return the weights that are published after one more choice."""
        await pipeline.publish(CHOICES, [a_choice(user_id=user_id)])

        async def told() -> bool:
            return (await in_service(pipeline)).version == version

        await until(told, what=f"weights {version}")
        return await in_service(pipeline)

    trainer = await pipeline.start("trainer", **at_once)
    fit = await pipeline.fit()
    before = await chosen("u1", f"{fit.version}+1")
    await pipeline.kill(trainer)
    await pipeline.start("trainer", **at_once)
    await until(follows, what="another trainer")
    after = await chosen("u3", f"{fit.version}+2")
    changes = sum(one != other for one, other in zip(before.weights, after.weights, strict=True))
    assert 0 < changes <= 4 * len(before.parts)  # one outcome moves the shared row and one of each context, a little
    assert max(abs(one - other) for one, other in zip(before.weights, after.weights, strict=True)) <= 0.1 + 1e-9


async def test_a_killed_trainer_learns_what_came_while_it_was_away_once(pipeline: Pipeline) -> None:
    at_once = ON_DEMAND | {"MODEL_PUBLISH_INTERVAL_S": "0.1"}
    places = [an_item(f"place{n}", category="places", created_at=T0_MS) for n in range(2)]
    await pipeline.publish(ITEMS, places)
    await pipeline.start("feed")
    trainer = await pipeline.start("trainer,links", **at_once)
    await pipeline.settle()  # workers know the categories
    start_ms = clock.now_ms() - 10**8

    async def return_to_places(first: int) -> None:
        """Have users go to and fro between two places."""
        visits = [
            an_interaction(
                event_id=f"visit{first}-{n}", user_id=f"w{first + n % 50}", item_id=f"place{n // 50 % 2}",
                occurred_at=start_ms + 100 * n,
            )
            for n in range(400)
        ]  # fmt: skip
        await pipeline.publish(INTERACTIONS, visits)

    async def counted(visits: float) -> ModelVersion:
        """Return the version that a choice after all visits publishes."""
        await pipeline.settle()
        await pipeline.publish(CHOICES, [a_choice(user_id="u1")])

        async def is_told() -> bool:
            return (await in_service(pipeline)).repeat_visits.get("places") == visits

        await until(is_told, timeout_s=WITHIN_S, what=f"{visits} visits")
        return await in_service(pipeline)

    await return_to_places(0)
    before = await counted(500.0 + 400)
    assert before.repeated_categories == ["places"]
    assert before.repeat_rates["places"] == pytest.approx(300 / 900)  # the first two visits of a user return nowhere
    await pipeline.settle()
    await pipeline.kill(trainer)
    await return_to_places(100)
    await pipeline.start("trainer,links", **at_once)
    after = await counted(500.0 + 800)
    assert after.repeat_rates["places"] == pytest.approx(600 / 1_300)
    beat = next(beat for beat in await pipeline.roles() if beat["role"] == "trainer")
    assert 0 < beat["start"]["records"] < 400  # batches of the 400 visits, and the choice: none of before


async def test_a_fit_comes_by_itself_when_it_is_due(pipeline: Pipeline) -> None:
    trainer = await pipeline.start("trainer", **ON_DEMAND)
    first = await pipeline.fit()
    await pipeline.kill(trainer)
    await pipeline.start("trainer", MODEL_FIT_INTERVAL_S="1")
    click = an_interaction(event_id=str(uuid.uuid4()), user_id="u1", item_id="i2", occurred_at=T0_MS + 10**9)
    await pipeline.publish(INTERACTIONS, [click])

    async def due() -> bool:
        versions = (await pipeline.board()).versions
        return versions[0].version > first.version and not versions[0].full

    await until(due, timeout_s=WITHIN_S, what="a fit to the newest events")


async def test_a_click_changes_the_feed_and_a_new_item_is_in_a_feed_within_seconds(pipeline: Pipeline) -> None:
    await pipeline.start("feed")
    await pipeline.start("trainer,links", **ON_DEMAND)
    await pipeline.settle()
    store = RedisFeedStore(pipeline.redis)

    async def feed() -> list[str]:
        (entries,) = await store.read(["newcomer"])
        return [] if entries is None else entries.items

    async def acted(item_id: str) -> list[str]:
        before = await feed()
        now_ms = clock.now_ms()
        click = an_interaction(event_id=str(uuid.uuid4()), user_id="newcomer", item_id=item_id, occurred_at=now_ms)
        await pipeline.publish(INTERACTIONS, [click])

        async def changed() -> bool:
            return await feed() not in ([], before)

        began_s = time.monotonic()
        await until(changed, timeout_s=10, what="another feed")
        print(f"a click changed the feed within {time.monotonic() - began_s:.2f} s")
        return await feed()

    first = await acted("i1")
    second = await acted("i2")
    assert first[:10] != second[:10]
    now_ms = clock.now_ms()
    await pipeline.publish(ITEMS, [an_item("new", category="c1", topics=["fresh"], created_at=now_ms)])
    began_s = time.monotonic()

    async def shown() -> bool:
        await pipeline.publish(
            TRIGGERS,
            [Trigger(event_id=str(uuid.uuid4()), user_id="newcomer", kind="refresh", occurred_at=now_ms)],
        )
        return "new" in await feed()

    await until(shown, timeout_s=10, what="the new item in a feed")
    print(f"a new item was in a feed within {time.monotonic() - began_s:.2f} s")
