"""A harmful arm over the real servers: it is paused before outcomes close, and the others go on."""

from __future__ import annotations

import json
from pathlib import Path

from domain.experiment_assignment import arm_of
from infra import clock
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from schemas.arm_pause import is_paused
from schemas.types import Arm, EarlyOutcome, Experiment, Feed, Impression, Interaction, ShownItem, Trigger
from tests.build import an_experiment, an_interaction, an_item
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import EARLY_OUTCOMES, EXPERIMENTS, IMPRESSIONS, INTERACTIONS, ITEMS, OUTCOMES, TRIGGERS

WITHIN_S = 120.0
ARMS = [
    Arm(name="as it is", share=0.3),
    Arm(name="bad", share=0.4, parameters={"SERENDIPITY_WEIGHT": "10"}),
    Arm(name="good", share=0.3, parameters={"DIVERSITY_CAP": "0.5"}),
]
SHARES = {arm.name: arm.share for arm in ARMS}
USERS = [f"u{number}" for number in range(400)]
ARM_OF = {user: arm_of("x1", SHARES, user) for user in USERS}
SHOWN = 10


async def knows_experiments(pipeline: Pipeline, count: int) -> None:
    """Wait until the worker has read a number of definitions."""

    async def has_read() -> bool:
        beats = [beat for beat in await pipeline.roles() if beat["role"] == "feed"]
        return any(
            sum(offset for name, offset in beat["global_tables"].items() if name.startswith(EXPERIMENTS.name)) >= count
            for beat in beats
        )

    await until(has_read, timeout_s=WITHIN_S, what=f"{count} definitions in the worker")


async def feeds_since(pipeline: Pipeline, at_ms: int) -> dict[str, Feed]:
    """Return the feeds of all users, once they are ranked anew."""
    store = RedisFeedStore(pipeline.redis)

    async def are_new() -> dict[str, Feed]:
        feeds = {feed.user_id: feed for feed in await store.read(USERS) if feed is not None}
        return feeds if sum(feed.generated_at >= at_ms for feed in feeds.values()) == len(USERS) else {}

    feeds: dict[str, Feed] = await until(are_new, timeout_s=WITHIN_S, what="new feeds")
    return feeds


def visits(feeds: dict[str, Feed], at_ms: int) -> tuple[list[Impression], list[Interaction]]:
    """Return impressions of the first items of feeds, and clicks on two or three of them, but none of the bad arm."""
    impressions, clicks = [], []
    for number, (user, feed) in enumerate(feeds.items()):
        items = [ShownItem(item_id=item_id, position=place) for place, item_id in enumerate(feed.items[:SHOWN])]
        impressions.append(Impression(event_id=f"visit-{user}", user_id=user, items=items, occurred_at=at_ms))
        if ARM_OF[user] != "bad":
            clicks += [
                an_interaction(
                    event_id=f"click-{user}-{item.item_id}", user_id=user, item_id=item.item_id, occurred_at=at_ms + 1
                )
                for item in items[: 2 + number % 2]
            ]
    return impressions, clicks


async def test_an_arm_that_nobody_clicks_is_paused_and_the_others_go_on(stack: Addresses, tmp_path: Path) -> None:
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.start("feed,log")
        await pipeline.start("archive,outcomes")
        await pipeline.publish(ITEMS, [an_item(f"i{n}", topics=[f"t{n % 5}"], category="music") for n in range(60)])
        await pipeline.publish(EXPERIMENTS, [an_experiment(status="running", arms=ARMS, occurred_at=clock.now_ms())])
        await knows_experiments(pipeline, 1)
        begin_ms = clock.now_ms()
        likes = [
            an_interaction(event_id=f"like-{user}", user_id=user, item_id="i0", action="like", occurred_at=begin_ms)
            for user in USERS
        ]
        await pipeline.publish(INTERACTIONS, likes)
        feeds = await feeds_since(pipeline, begin_ms)
        assert {user: feed.arms for user, feed in feeds.items()} == {user: {"x1": ARM_OF[user]} for user in USERS}

        shown_ms = clock.now_ms()
        impressions, clicks = visits(feeds, shown_ms)
        await pipeline.publish(IMPRESSIONS, impressions)
        await pipeline.publish(INTERACTIONS, clicks)

        async def with_pause() -> Experiment | None:
            newest: Experiment = (await pipeline.read(EXPERIMENTS))[-1]
            return newest if any(arm.pauses for arm in newest.arms) else None

        experiment: Experiment = await until(with_pause, timeout_s=WITHIN_S, what="the pause of the arm")
        pause = experiment.arms[1].pauses[0]
        took_s = (pause.paused_at - shown_ms) / 1_000
        print(f"paused {took_s:.0f} s after the impressions: {pause.reason}")
        assert (experiment.status, [is_paused(arm) for arm in experiment.arms]) == ("running", [False, True, False])
        assert "click_through_rate -100%" in pause.reason
        assert await pipeline.read(OUTCOMES) == [], "outcomes close after an hour"
        others = {user for user in USERS if ARM_OF[user] != "bad"}

        async def early_outcomes_of_others() -> list[EarlyOutcome] | None:
            by_id = {one.outcome_id: one for one in await pipeline.read(EARLY_OUTCOMES) if one.user_id in others}
            return list(by_id.values()) if len(by_id) == SHOWN * len(others) else None

        early_outcomes = await until(
            early_outcomes_of_others, timeout_s=WITHIN_S, look_every_s=1.0, what="the outcomes"
        )
        assert sum(one.clicks for one in early_outcomes) == len(clicks)

        await knows_experiments(pipeline, 2)
        again_ms = clock.now_ms()
        triggers = [
            Trigger(event_id=f"again-{user}", user_id=user, kind="refresh", occurred_at=again_ms) for user in USERS
        ]
        await pipeline.publish(TRIGGERS, triggers)
        feeds = await feeds_since(pipeline, again_ms)
        assert {user: feed.arms for user, feed in feeds.items()} == {
            user: {} if ARM_OF[user] == "bad" else {"x1": ARM_OF[user]} for user in USERS
        }
        status, out, err = await pipeline.millrace("experiments", COLUMNS="300")
        assert status == 0, err
        assert "guardrail: click_through_rate -100%" in out
        status, out, err = await pipeline.millrace("experiments", "start", "x1", "--arm", "bad", "--json")
        assert status == 0, err
        assert json.loads(out)["arms"][1]["pauses"][0]["resumed_at"] > pause.paused_at
