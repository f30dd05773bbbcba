"""Private statistics of items on a real log: a day is spent and released once, also under a kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra import clock
from infra.address import Addresses
from infra.privacy.privacy_budget import PrivacyBudget
from infra.privacy.privacy_ledger import PrivacyLedger
from infra.settings import Settings
from schemas.types import RecentItem
from tests.build import T0_MS, an_interaction, an_item, features
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import FEATURES, INTERACTIONS, ITEM_STATS, ITEMS

USERS, ITEM_COUNT = 1_000, 1_500
PRIVATE = {"PRIVATE_STATISTICS_EPSILON": "1.0"}


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def budget(pipeline: Pipeline) -> PrivacyBudget:
    ledger = PrivacyLedger(pipeline.addresses.apply_to(Settings()), pipeline.registry)
    return await ledger.read(clock.now_ms())


async def test_a_day_is_spent_and_released_once_under_two_processes_and_a_kill(pipeline: Pipeline) -> None:
    await pipeline.publish(ITEMS, [an_item(f"i{number}") for number in range(ITEM_COUNT)])
    hit = [RecentItem(item_id="i0", weight=1.0, at=T0_MS)]
    users = [features(user_id=f"u{n}", event_count=1, recent=hit, seen=["i0"]) for n in range(USERS)]
    await pipeline.publish(FEATURES, users)
    at_ms = clock.now_ms() + 1
    late = [features(user_id=f"late{n}", event_count=1, recent=hit, seen=["i0"]) for n in range(USERS)]

    async def has_come() -> bool:
        return clock.now_ms() >= at_ms

    await until(has_come, what="the time of the release")
    await pipeline.publish(FEATURES, late)

    async def start(name: str) -> asyncio.subprocess.Process:
        module = "tests.pipeline.privacy.statistics_releaser"
        return await pipeline.start_module(module, worker_id=name, RELEASE_AT_MS=str(at_ms), **PRIVATE)

    async def begun() -> bool:
        return bool(await pipeline.read(ITEM_STATS))

    victim, survivor = await start("a"), await start("b")
    await until(begun, what="the first statistics")
    await pipeline.kill(victim)
    assert await asyncio.wait_for(survivor.wait(), 240) == 0
    records = await pipeline.read(ITEM_STATS)
    assert await asyncio.wait_for((await start("c")).wait(), 240) == 0
    assert len(await pipeline.read(ITEM_STATS)) == len(records), "what is released is not released again"

    newest = {record.item_id: record for record in records}
    assert len(newest) == ITEM_COUNT
    assert all(record == newest[record.item_id] for record in records), "both processes release the same numbers"
    assert {(record.releases, record.watermark) for record in records} == {(1, at_ms)}
    assert sum(newest["i0"].choice_sums[:4]) == pytest.approx(USERS, abs=300), "users by then, under noise of about 62"
    today = await budget(pipeline)
    assert [(one.principal, one.epsilon, one.delta) for one in today.spendings] == [("trainer", 1.0, 1e-5)]
    assert (today.epsilon_left, today.refusals) == (0.0, 0)


async def test_workers_publish_no_exact_statistics_where_they_are_private(pipeline: Pipeline) -> None:
    await pipeline.publish(ITEMS, [an_item(f"i{number}") for number in range(3)])
    await pipeline.start("feed,links,trainer", **PRIVATE)
    events = [an_interaction(user_id=f"u{n}", item_id=f"i{n % 2}", event_id=f"e{n}") for n in range(20)]
    await pipeline.publish(INTERACTIONS, events)
    await pipeline.settle()

    async def are_released() -> bool:
        return (await pipeline.stats()).keys() == {"i0", "i1", "i2"}

    await until(are_released, what="private statistics of the catalogue")
    assert len(await pipeline.features()) == 20
    assert {record.releases for record in await pipeline.read(ITEM_STATS)} == {1}
    assert len((await budget(pipeline)).spendings) == 1
