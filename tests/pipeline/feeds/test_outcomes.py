"""Outcomes on real servers: a worker is killed and two take over; records, figures and rows stay right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg

from domain.timestamp import HOUR_MS
from infra import clock
from infra.address import Addresses
from infra.postgres.pool import connect
from infra.redis.metrics.click_rate_store import ClickRates, RedisClickRateStore
from schemas.types import Impression, Interaction, Outcome, ShownItem
from tests.build import a_feed, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import FEEDS, IMPRESSIONS, INTERACTIONS, ITEMS, OUTCOMES

WINDOW_S = 10
WITHIN_S = 180.0
"""Longest wait for each condition: a killed role is missed for some seconds, and starts again."""
SETTINGS = {"OUTCOME_WINDOW_S": str(WINDOW_S), "OUTCOME_LATENESS_S": "600"}
USERS = [f"user-{number}" for number in range(30)]
ITEM_IDS = ["i1", "i2", "i3"]


def impressions(name: str, at_ms: int, *, request: str = "", **overrides: Any) -> list[Impression]:
    """Return one impression of all items to each user."""
    items = [ShownItem(item_id=item_id, position=place) for place, item_id in enumerate(ITEM_IDS)]
    fields: dict[str, Any] = {"items": items, "occurred_at": at_ms, "surface": "home"}
    return [
        Impression(
            event_id=f"{name}-{user}", user_id=user, request_id=f"{request or name}-{user}", **(fields | overrides)
        )
        for user in USERS
    ]


def clicks(name: str, at_ms: int, item_id: str, users: list[str]) -> list[Interaction]:
    return [
        an_interaction(event_id=f"{name}-{user}", user_id=user, item_id=item_id, occurred_at=at_ms) for user in users
    ]


CLICKED = {
    *(f"first-{user}:0" for user in USERS[:10]),
    *(f"first-{user}:1" for user in USERS[:5]),
    *("first-user-0:2", *(f"second-{user}:0" for user in USERS[:3])),
}
"""Outcomes with clicks after the second impressions."""
CLICKED_LATER = {f"second-{user}:1" for user in USERS[5:8]}


async def outcomes_once(pipeline: Pipeline, count: int, clicked_ids: set[str]) -> dict[str, Outcome]:
    """Return the last record of each outcome, once there is a number of them and some of these are clicked."""

    async def are_complete() -> dict[str, Outcome] | None:
        records = {one.outcome_id: one for one in await pipeline.read(OUTCOMES)}
        is_complete = (
            len(records) == count and {one.outcome_id for one in records.values() if one.clicks} == clicked_ids
        )
        return records if is_complete else None

    records: dict[str, Outcome] = await until(are_complete, timeout_s=WITHIN_S, what=f"{count} outcomes")
    return records


async def rows_once(connection: asyncpg.Connection, counts: dict[str, int]) -> None:
    """Wait until the archive has as many rows."""

    async def are_there() -> bool:
        rows = {source: await connection.fetchval(f"SELECT count(*) FROM {source}") for source in counts}
        return rows == counts

    await until(are_there, timeout_s=WITHIN_S, what=f"rows: {counts}")


async def test_a_killed_role_leaves_the_same_outcomes_as_one_that_ran_on(stack: Addresses, tmp_path: Path) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        start_ms = clock.now_ms() - 120_000
        feed: dict[str, Any] = {"generated_at": start_ms - 1_000, "arms": {"homepage": "b"}, "policy": "thompson"}
        feed |= {"propensities": [1.0, 0.5, 0.25]}
        await pipeline.publish(ITEMS, [an_item(item_id) for item_id in ITEM_IDS])
        await pipeline.publish(FEEDS, [a_feed(user_id=user, **feed) for user in USERS[:-1]])
        connection: asyncpg.Connection = await connect(stack.database_url)
        await pipeline.start("archive")
        await rows_once(connection, {"feed_history": len(USERS) - 1, "items": len(ITEM_IDS)})

        role = await pipeline.start("outcomes", **SETTINGS)
        await pipeline.publish(IMPRESSIONS, impressions("first", start_ms))
        await pipeline.publish(INTERACTIONS, clicks("soon", start_ms + 1_000, "i1", USERS[:10]))
        await outcomes_once(pipeline, 3 * len(USERS), {f"first-{user}:0" for user in USERS[:10]})
        await pipeline.kill(role)

        late = clicks("late", start_ms + 2_000, "i2", USERS[:5])
        await pipeline.publish(INTERACTIONS, [*late, *late])
        second_ms = clock.now_ms()
        second = impressions("second", second_ms)
        await pipeline.publish(IMPRESSIONS, [*second[:10], *second])
        await pipeline.publish(IMPRESSIONS, impressions("log", second_ms - 500, request="second", is_reported=False))
        purchase: dict[str, Any] = {"action": "purchase", "request_id": "first-user-0", "occurred_at": start_ms + 3_000}
        await pipeline.publish(INTERACTIONS, [an_interaction(user_id=USERS[0], item_id="i3", **purchase)])
        await pipeline.publish(INTERACTIONS, clicks("again", second_ms + 1_000, "i1", USERS[:3]))
        workers = [await pipeline.start("outcomes", **SETTINGS) for _ in range(2)]
        await outcomes_once(pipeline, 6 * len(USERS), CLICKED)

        async def are_shared() -> bool:
            return [one["partitions"] for one in await pipeline.roles() if one["role"] == "outcomes"] == [4, 4]

        await until(are_shared, timeout_s=WITHIN_S, what="two workers with half of the partitions each")
        await pipeline.publish(IMPRESSIONS, impressions("third", clock.now_ms()))
        await pipeline.publish(INTERACTIONS, clicks("later", second_ms + 2_000, "i2", USERS[5:8]))
        records = await outcomes_once(pipeline, 9 * len(USERS), CLICKED | CLICKED_LATER)
        assert all(one.is_reported and one.clicks <= 1 for one in records.values())
        one = records["first-user-0:2"]
        assert (one.conversions, one.place, one.surface, one.closed_at) == (1, 2, "home", start_ms + 1_000 * WINDOW_S)
        assert (one.source, one.category, one.model) == ("trending", "music", "blend-1")
        assert (one.policy, one.propensity, one.arms) == ("thompson", 0.25, {"homepage": "b"})
        unknown = records[f"first-{USERS[-1]}:0"]
        assert (unknown.source, unknown.category, unknown.features_version) == ("", "music", -1), "no feed is known"
        await check_rates(pipeline, impressions=len(records), clicks=len(CLICKED | CLICKED_LATER))
        assert [await pipeline.stop(worker) for worker in workers] == [0, 0]
        clicked_rows = len(CLICKED | CLICKED_LATER)
        await rows_once(connection, {"outcomes": len(records), "outcomes WHERE clicks > 0": clicked_rows})
        await connection.close()


async def check_rates(pipeline: Pipeline, **expected: int) -> None:
    """Wait for the click rates of the last hour, which count each outcome once."""

    async def are_counted() -> ClickRates | None:
        rates = await RedisClickRateStore(pipeline.redis).read(HOUR_MS)
        return rates if {"impressions": rates.impressions, "clicks": rates.clicks} == expected else None

    rates: ClickRates = await until(are_counted, timeout_s=WITHIN_S, what=f"click rates: {expected}")
    [arm] = rates.by["arm"]
    assert (arm.label, arm.impressions) == ("homepage=b", 9 * (len(USERS) - 1))
