"""What serves is what is evaluated: the pipeline ends with the lists that evaluation gives for the same events."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from evaluation.blend import Blend
from evaluation.contestant import Setup
from evaluation.stream import of_dataset
from infra.address import Addresses
from infra.dataset.dataset import Dataset
from infra.feed_store import RedisFeedStore
from infra.model_board import SERVING, RedisBoardStore, Version
from schemas.limit import RETRAINER
from schemas.types import Feed, Trigger
from streams.core.position import Position
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from tests.pipeline.test_replay import a_dataset
from topics.topic import INTERACTIONS, ITEMS, PROFILES, TRIGGERS

WITHIN_S = 900.0
EQUAL = 1e-4
"""Scores closer than this may stand in any order."""


def evaluated(data: Dataset) -> dict[str, Feed]:
    """Return every user's feed as evaluation has it after the last event."""
    blend = Blend(Setup(catalogue=data.items, repeats=False, seed=0))
    for number, profile in enumerate(data.profiles):
        blend.learner.profile(profile, Position(0, number, 0))
    blend.learn(of_dataset(data).events)
    blend.learner.fit()  # a full fit ends with one, wherever the stream's own pace has come to
    return {user_id: blend.feed(user_id) for user_id in sorted({event.user_id for event in data.interactions})}


async def served(addresses: Addresses, home: Path, data: Dataset) -> dict[str, Feed]:
    """Return every user's feed as it lies in Redis after the last event and a full fit."""
    async with a_pipeline(addresses, home) as pipeline:
        await pipeline.start("feed")
        never = {"MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
        await pipeline.start("trainer", **never, MODEL_PUBLISH_INTERVAL_S="0")
        await pipeline.publish(ITEMS, data.items)
        await pipeline.publish(PROFILES, data.profiles)
        await pipeline.settle()
        await pipeline.publish(INTERACTIONS, data.interactions)
        await pipeline.settle(WITHIN_S)
        began_s = time.monotonic()
        version = await fit(pipeline)
        print(f"a fit to {version.events:,} events took {time.monotonic() - began_s:.0f} s: {version.metrics}")
        assert version.status == SERVING
        await pipeline.settle(WITHIN_S)
        users = sorted({event.user_id for event in data.interactions})
        await pipeline.rerank(users, now_ms=max(event.occurred_at for event in data.interactions))
        feeds = await RedisFeedStore(pipeline.redis).read(users)
        return {feed.user_id: feed for feed in feeds if feed is not None}


async def fit(pipeline: Pipeline) -> Version:
    event_id = str(uuid.uuid4())
    now_ms = time.time_ns() // 1_000_000
    await pipeline.publish(
        TRIGGERS, [Trigger(event_id=event_id, user_id=RETRAINER, kind="retrain", occurred_at=now_ms)]
    )

    async def answer() -> Version | None:
        versions = (await RedisBoardStore(pipeline.redis).read()).versions
        return next((version for version in versions if event_id in version.request_ids), None)

    found: Version = await until(answer, timeout_s=WITHIN_S, what="a full fit")
    return found


async def test_the_pipeline_ends_with_the_lists_of_the_evaluation(stack: Addresses, tmp_path: Path) -> None:
    """Feed both the same events and compare everyone's feed.

    MovieLens tells seconds, so many events of a user share a time. The trainer takes partitions by (time, event id) and
    evaluation takes ties as they stand in the data: here the data is sorted by both, so that the order is one. The
    catalogue and the profiles are there from the start on both sides; a fit lets an item in once the stream has passed
    the time it was created, which in this data is that of its first rating, when evaluation lets it in.
    """
    data = a_dataset()
    data = replace(data, interactions=sorted(data.interactions, key=attrgetter("occurred_at", "event_id")))
    expected = await asyncio.to_thread(evaluated, data)
    found = await served(stack, tmp_path, data)
    assert found.keys() == expected.keys()
    others = [user_id for user_id, feed in expected.items() if found[user_id].items != feed.items]
    unlike = [user_id for user_id in others if not alike(found[user_id], expected[user_id])]
    furthest = max(
        abs(one - other)
        for user_id, feed in expected.items()
        for one, other in zip(found[user_id].scores, feed.scores, strict=True)
    )
    print(
        f"{len(expected)} feeds: {len(expected) - len(others)} the same, {len(others) - len(unlike)} with ties"
        f" in another order, {len(unlike)} unlike; scores are at most {furthest:.1e} apart"
    )
    assert not unlike


def alike(found: Feed, expected: Feed) -> bool:
    """Say whether two feeds are the same but for the order of equal scores, and what they push off the end."""
    scores = dict(zip(expected.items, expected.scores, strict=True))
    last = min(expected.scores)
    return all(
        abs(score - other) <= EQUAL and abs(score - scores.get(item, last)) <= EQUAL
        for item, score, other in zip(found.items, found.scores, expected.scores, strict=True)
    )
