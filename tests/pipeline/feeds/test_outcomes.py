"""Outcomes on real servers: the role is killed in the middle, and its records, figures and rows stay right."""

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


async def outcomes(pipeline: Pipeline) -> dict[str, Outcome]:
    """Return the last record of each outcome."""
    return {one.outcome_id: one for one in await pipeline.read(OUTCOMES)}


async def test_a_killed_role_leaves_the_same_outcomes_as_one_that_ran_on(stack: Addresses, tmp_path: Path) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        start_ms = clock.now_ms() - 120_000
        feed: dict[str, Any] = {"generated_at": start_ms - 1_000, "arms": {"homepage": "b"}, "policy": "thompson"}
        feed |= {"propensities": [1.0, 0.5, 0.25]}
        await pipeline.publish(ITEMS, [an_item(item_id) for item_id in ITEM_IDS])
        await pipeline.publish(FEEDS, [a_feed(user_id=user, **feed) for user in USERS[:-1]])
        connection: asyncpg.Connection = await connect(stack.database_url)
        await pipeline.start("archive")

        async def count_of(table: str, where: str = "true") -> int:
            return int(await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {where}"))

        async def is_archived() -> bool:
            return await count_of("feed_history") == len(USERS) - 1 and await count_of("items") == len(ITEM_IDS)

        await until(is_archived, timeout_s=WITHIN_S, what="the feeds in the archive")
        role = await pipeline.start("outcomes", **SETTINGS)
        await pipeline.publish(IMPRESSIONS, impressions("first", start_ms))
        await pipeline.publish(INTERACTIONS, clicks("soon", start_ms + 1_000, "i1", USERS[:10]))

        async def are_published() -> bool:
            return len(await outcomes(pipeline)) == 3 * len(USERS)

        await until(are_published, timeout_s=WITHIN_S, what="the outcomes of the first impressions")
        await pipeline.kill(role)
        late = clicks("late", start_ms + 2_000, "i2", USERS[:5])
        await pipeline.publish(INTERACTIONS, [*late, *late])
        second_ms = clock.now_ms()
        second = impressions("second", second_ms)
        await pipeline.publish(IMPRESSIONS, [*second[:10], *second])
        await pipeline.publish(IMPRESSIONS, impressions("log", second_ms - 500, request="second", is_reported=False))
        purchase = [an_interaction(event_id="named", user_id=USERS[0], item_id="i3", action="purchase",
                                request_id="first-user-0", occurred_at=start_ms + 3_000)]  # fmt: skip
        await pipeline.publish(INTERACTIONS, [*clicks("again", second_ms + 1_000, "i1", USERS[:3]), *purchase])
        role = await pipeline.start("outcomes", **SETTINGS)

        def clicked(impression: str) -> dict[str, list[str]]:
            return {
                item_id: [one.user_id for one in records.values() if one.item_id == item_id and one.clicks
                          and one.outcome_id.startswith(impression)]
                for item_id in ITEM_IDS
            }  # fmt: skip

        async def are_complete() -> dict[str, Outcome] | None:
            records = await outcomes(pipeline)
            anew = [one for one in records.values() if one.outcome_id.startswith("first") and one.clicks]

            return records if len(records) == 6 * len(USERS) and len(anew) == 16 else None

        records: dict[str, Outcome] = await until(
            are_complete, timeout_s=WITHIN_S, what="the outcomes of all impressions"
        )
        assert {name: sorted(users) for name, users in clicked("first").items()} == {
            "i1": sorted(USERS[:10]),
            "i2": sorted(USERS[:5]),
            "i3": [USERS[0]],
        }
        assert {name: sorted(users) for name, users in clicked("second").items()} == {
            "i1": sorted(USERS[:3]),
            "i2": [],
            "i3": [],
        }
        one = records["first-user-0:2"]
        assert (one.conversions, one.place, one.surface, one.closed_at) == (1, 2, "home", start_ms + 1_000 * WINDOW_S)
        assert (one.source, one.category, one.model) == ("trending", "music", "blend-1")
        assert (one.policy, one.propensity, one.arms) == ("thompson", 0.25, {"homepage": "b"})
        unknown = records[f"first-{USERS[-1]}:0"]
        assert (unknown.source, unknown.category, unknown.features_version) == ("", "music", -1), "no feed is known"

        async def are_counted() -> ClickRates | None:
            rates = await RedisClickRateStore(pipeline.redis).read(HOUR_MS)
            return rates if (rates.impressions, rates.clicks) == (len(records), 19) else None

        rates: ClickRates = await until(are_counted, timeout_s=WITHIN_S, what="the click rates")
        [arm] = rates.by["arm"]
        assert (arm.label, arm.impressions) == ("homepage=b", 6 * (len(USERS) - 1))
        assert await pipeline.stop(role) == 0

        async def are_rows_complete() -> bool:
            return await count_of("outcomes") == len(records) and await count_of("outcomes", "clicks > 0") == 19

        await until(are_rows_complete, timeout_s=WITHIN_S, what="the rows of all outcomes")
        await connection.close()
