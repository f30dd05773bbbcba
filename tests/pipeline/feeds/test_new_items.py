"""A new item enters the feeds of those whom it fits, without an event of theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.timestamp import DAY_MS, HOUR_MS
from infra import clock
from infra.address import Addresses
from schemas.types import Trigger
from tests.build import a_profile, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import FEEDS, INTERACTIONS, ITEMS, PROFILES, TRIGGERS

TOPICS = ("jazz", "cooking", "opera", "pottery")


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with a_pipeline(stack, tmp_path) as pipeline:
        yield pipeline


async def test_a_new_item_enters_the_feeds_of_those_whom_it_fits(pipeline: Pipeline) -> None:
    now_ms = clock.now_ms()
    catalogue = [
        an_item(f"i{number}", category="events", topics=[TOPICS[number % 4]], created_at=now_ms - 90 * DAY_MS)
        for number in range(120)
    ]
    await pipeline.publish(ITEMS, catalogue)
    fans = {"mina": ("jazz", "Lisbon"), "joao": ("jazz", "Porto"), "rui": ("cooking", "Lisbon")}
    await pipeline.publish(
        PROFILES,
        [a_profile(user_id=user, city=city, occurred_at=now_ms - DAY_MS) for user, (_, city) in fans.items()],
    )
    clicks = [
        an_interaction(
            event_id=f"{user}-{number}",
            user_id=user,
            item_id=f"i{TOPICS.index(topic) + 4 * number}",
            occurred_at=now_ms - HOUR_MS + number,
        )
        for user, (topic, _) in fans.items()
        for number in range(8)
    ]
    await pipeline.publish(INTERACTIONS, clicks)
    await pipeline.start("feed")
    await pipeline.start("trainer,links")
    await pipeline.settle()
    before = await pipeline.newest(FEEDS)

    new_item = an_item(
        "new", category="events", topics=["jazz"], city="Lisbon", created_at=now_ms, rating=5.0, reviews=500
    )
    await pipeline.publish(ITEMS, [new_item])

    async def is_shown() -> bool:
        return "new" in (await pipeline.newest(FEEDS))["mina"].items[:10]

    await until(is_shown, what="the new item among the first ten", timeout_s=30)
    await pipeline.settle()
    feeds = await pipeline.newest(FEEDS)
    assert feeds["mina"].watermark == before["mina"].watermark, "without an event"
    assert [feeds[user].generated_at == before[user].generated_at for user in ("joao", "rui")] == [True, True]
    triggers: list[Trigger] = await pipeline.read(TRIGGERS)
    assert [(trigger.user_id, trigger.kind, trigger.reason) for trigger in triggers] == [("mina", "rerank", "new-item")]
