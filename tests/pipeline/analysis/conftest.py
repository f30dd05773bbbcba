"""A stream with all that makes history hard: late, correction and repeated events, profiles, places, impressions."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from domain.timestamp import DAY_MS
from infra import clock
from infra.address import Addresses
from schemas.types import Impression, Interaction, ShownItem
from tests.build import a_ping, a_profile_update, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import IMPRESSIONS, INTERACTIONS, ITEMS, LOCATIONS, PROFILE_UPDATES

CATEGORIES = ("music", "movies", "places")


def an_act(user_id: str, item_id: str, action: str = "click", **overrides: Any) -> Interaction:
    """Return an interaction of now."""
    fields: dict[str, Any] = {"event_id": str(uuid.uuid4()), "user_id": user_id, "item_id": item_id, "action": action}
    return an_interaction(**(fields | {"occurred_at": clock.now_ms()} | overrides))


@pytest.fixture(scope="module")
async def history(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    """A pipeline that has served, learned and archived a stream of events. Its tests only read."""
    async with a_pipeline(stack, tmp_path_factory.mktemp("history")) as pipeline:
        items = [an_item(f"i{n}", category=CATEGORIES[n % 3], topics=[f"topic-{n % 5}"]) for n in range(60)]
        await pipeline.publish(ITEMS, items)
        # Without weights: those that are published while an event is being folded reach its features, or the next ones.
        await pipeline.start("feed,trainer,links,archive,log", MODEL_PUBLISH_INTERVAL_S="0")
        await pipeline.publish(INTERACTIONS, [an_act(f"u{n % 7}", f"i{n * n % 30}") for n in range(140)])
        await pipeline.settle()
        change = a_profile_update(event_id="p1", user_id="u1", muted=["movies"], occurred_at=clock.now_ms())
        await pipeline.publish(PROFILE_UPDATES, [change])
        await pipeline.settle()
        await pipeline.publish(LOCATIONS, [a_ping(user_id="u2", event_id="l1", occurred_at=clock.now_ms())])
        await pipeline.settle()
        await _publish_hard_events(pipeline)
        await _publish_impressions(pipeline)
        yield pipeline


async def _publish_hard_events(pipeline: Pipeline) -> None:
    late = an_act("u1", "i40", "like", event_id="late", occurred_at=clock.now_ms() - DAY_MS)
    first = an_act("u1", "i41", "rate", event_id="rating", value=1.0)
    correction = an_act("u1", "i41", "rate", event_id="correction", value=5.0)
    for event in (late, first, correction, correction, an_act("u1", "i42", event_id="after")):
        await pipeline.publish(INTERACTIONS, [event])
        await pipeline.settle()
    pipeline.publisher.produce_bytes(INTERACTIONS, b"u1", b"no record")
    await pipeline.publisher.flush()
    await pipeline.settle()


async def _publish_impressions(pipeline: Pipeline) -> None:
    """Show four users the top of their feeds, of whom three act on an item."""
    for number in range(4):
        user_id = f"u{number}"
        items = [ShownItem(item_id=f"i{n}", position=n) for n in range(10)]
        event = Impression(
            event_id=f"shown-{number}",
            user_id=user_id,
            request_id=f"r{number}",
            items=items,
            surface="home" if number < 3 else "mail",
            occurred_at=clock.now_ms(),
        )
        await pipeline.publish(IMPRESSIONS, [event])
        if number < 3:
            await pipeline.publish(INTERACTIONS, [an_act(user_id, f"i{number}", "like", request_id=f"r{number}")])
    await pipeline.settle()


async def archived(pipeline: Pipeline, statement: str) -> list[Any]:
    """Return the rows of a statement on the archive, once there are any."""

    async def rows() -> list[Any]:
        connection = await asyncpg.connect(pipeline.addresses.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    found_rows: list[Any] = await until(rows, what=statement)
    return found_rows
