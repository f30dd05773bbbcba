"""Replaying MovieLens: the pipeline ends with the lists of the evaluation, and crashes and repeats change nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import floor, isclose, log10
from multiprocessing import get_context
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluation.contestants.blend import BlendCandidate, interaction
from evaluation.contestants.contestant import EvalContext
from evaluation.protocols.stream import of_dataset
from infra.address import Addresses
from infra.redis.stores.feed_store import RedisFeedStore
from infra.redis.stores.model_status import SERVING
from infra.settings import Settings
from loaders.dataset import Dataset
from loaders.datasets import movielens, world
from models.blend.personal import PersonalWeights
from models.factorization.item_embeddings import ItemEmbeddings
from schemas.types import Feed, Interaction
from streams.core.position import Position
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PROFILES

FOLDER = Path(os.environ.get("MOVIELENS_DIR", Path(__file__).parents[4] / "shared" / "data" / "ml-100k"))
"""MovieLens 100K may not be redistributed: where it is not at hand, a world of our own is replayed."""


UNWEIGHED = {"MODEL_PUBLISH_INTERVAL_S": "0", "MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
"""What is learned live depends on how far the trainer lags; the end state without it, and without fits, does not."""
WITHOUT_SERENDIPITY = Settings(serendipity_weight=0.0)
"""Feeds in the order of their scores alone, which tell the ties."""
FEED = {"SERENDIPITY_WEIGHT": "0", "EMBEDDING_DIM": "64"}
"""The same, and another space than that of the links role: embeddings depend on the order of partitions."""
WITHIN_S = 900.0
MOST_EVENTS = 30_000
"""Events that are replayed: those of the first weeks."""
EQUAL = 1e-4
"""Scores closer than this may stand in any order."""
SAME = 1e-6
"""Numbers this close, relative to them when they are greater than 1, differ in the order of additions only."""


@dataclass(frozen=True)
class End:
    """What a replay has come to."""

    features: dict[str, Any]
    stats: dict[str, Any]
    feeds: dict[str, Feed]
    dead_letters: int


@asynccontextmanager
async def replaying(addresses: Addresses, home: Path, data: Dataset, *, kills: int = 0) -> AsyncIterator[Pipeline]:
    """Yield a pipeline at which a data set is published; its worker is killed after each of as many parts."""
    async with a_pipeline(addresses, home) as pipeline:
        worker = await pipeline.start("feed", **FEED)
        await pipeline.start("trainer,links", **UNWEIGHED)
        await pipeline.publish(ITEMS, data.items)
        await pipeline.publish(PROFILES, data.profiles)
        await pipeline.settle()
        for part in _parts(data.interactions, max(kills, 1)):
            before = await pipeline.signals()
            await pipeline.publish(INTERACTIONS, part)
            if kills:
                await until(lambda before=before: _signalled(pipeline, before), timeout_s=120, what="folding")
                await pipeline.kill(worker)
                worker = await pipeline.start("feed", **FEED)
        yield pipeline


async def end(pipeline: Pipeline, data: Dataset) -> End:
    """Wait until everything is served, have everyone ranked again and return what there is."""
    await pipeline.settle(WITHIN_S)
    users = sorted({event.user_id for event in data.interactions})
    await pipeline.rerank(users, now_ms=max(event.occurred_at for event in data.interactions))
    feeds = await RedisFeedStore(pipeline.redis).read(users)
    return End(
        features=await pipeline.features(),
        stats=await pipeline.stats(),
        feeds={feed.user_id: feed for feed in feeds if feed is not None},
        dead_letters=len(await pipeline.dead_letters()),
    )


def _parts(events: list[Interaction], count: int) -> list[list[Interaction]]:
    size = -(-len(events) // count)
    return [events[start : start + size] for start in range(0, len(events), size)]


async def _signalled(pipeline: Pipeline, before: int) -> bool:
    return await pipeline.signals() > before


def evaluated(data: Dataset) -> dict[str, Feed]:
    """Return every user's feed as evaluation has it after the last event."""
    blend = BlendCandidate(EvalContext(catalogue=data.items, seed=0, settings=WITHOUT_SERENDIPITY))
    for number, profile in enumerate(data.profiles):
        blend.learner.profile(profile, Position(0, number, 0))
    blend.learn(of_dataset(data).events)
    blend.learner.fit()  # a full fit ends with one, wherever the stream's own pace has come to
    blend.learner.catalog.embeddings = ItemEmbeddings(blend.learner.catalog.items)
    blend.learner.weights = PersonalWeights(blend.learner.blender)  # users' own weights are told by live learning only
    return {user_id: blend.feed(user_id) for user_id in sorted({event.user_id for event in data.interactions})}


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The data by (time, event id), as the trainer takes partitions: many events of a user share a second."""
    data = movielens.read(FOLDER) if FOLDER.is_dir() else world.build(seed=7, now_ms=1_700_000_000_000)
    events = sorted(data.interactions, key=attrgetter("occurred_at", "event_id"))[:MOST_EVENTS]
    item_ids = {event.item_id for event in events}
    data = replace(data, interactions=events, items=[item for item in data.items if item.item_id in item_ids])
    return data if FOLDER.is_dir() else rated(data)


def rated(data: Dataset) -> Dataset:
    """Return what evaluation takes from a data set: who rated or clicked what and when, and what that is."""
    events = [event for event in data.interactions if event.item_id is not None]
    replayed_events = [
        msgspec.structs.replace(interaction(event, number), event_id=known_item.event_id)
        for number, (event, known_item) in enumerate(zip(of_dataset(data).events, events, strict=True), start=1)
    ]
    first = {event.item_id: event.occurred_at for event in reversed(replayed_events)}
    items = [
        msgspec.structs.replace(item, created_at=first[item.item_id]) for item in data.items if item.item_id in first
    ]
    return replace(data, interactions=replayed_events, items=items)


# Each of these goes on where the one before has come to; the first ends before the next begins, as they share servers.


@pytest.fixture(scope="module")
async def end_after_crashes(stack: Addresses, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> End:
    async with replaying(stack, tmp_path_factory.mktemp("crashed"), data, kills=3) as pipeline:
        return await end(pipeline, data)


@pytest.fixture(scope="module")
async def pipeline(
    stack: Addresses, data: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pipeline]:
    async with replaying(stack, tmp_path_factory.mktemp("undisturbed"), data) as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
async def end_without_crash(pipeline: Pipeline, data: Dataset) -> End:
    return await end(pipeline, data)


@pytest.fixture(scope="module")
async def end_after_fit(pipeline: Pipeline, data: Dataset, end_without_crash: End) -> End:
    version = await pipeline.fit(timeout_s=WITHIN_S)
    assert version.status == SERVING
    return await end(pipeline, data)


@pytest.fixture(scope="module")
async def end_after_repeat(pipeline: Pipeline, data: Dataset, end_after_fit: End) -> End:
    await pipeline.publish(INTERACTIONS, data.interactions)
    return await end(pipeline, data)


@pytest.fixture(scope="module")
def expected(data: Dataset) -> Iterator[Future[dict[str, Feed]]]:
    """What evaluation comes to, in a process that works beside the fit."""
    with ProcessPoolExecutor(1, get_context("spawn")) as beside:
        yield beside.submit(evaluated, data)


async def test_three_crashes_change_nothing(end_after_crashes: End, end_without_crash: End) -> None:
    assert_same(end_after_crashes, end_without_crash)


async def test_every_event_is_accounted_for_and_every_user_has_a_feed(end_without_crash: End, data: Dataset) -> None:
    event_count = sum(features.event_count for features in end_without_crash.features.values())
    assert event_count + end_without_crash.dead_letters == len(data.interactions)
    assert set(end_without_crash.feeds) == {event.user_id for event in data.interactions}
    assert all(len(feed.items) == 50 for feed in end_without_crash.feeds.values())


async def test_the_pipeline_ends_with_the_lists_of_the_evaluation(
    expected: Future[dict[str, Feed]], end_after_fit: End
) -> None:
    """Compare everyone's feed.

    The catalogue and the profiles are there from the start on both sides; a fit lets an item in once the stream has
    passed the time it was created, which in this data is that of its first rating, when evaluation lets it in.
    """
    lists, feeds = await asyncio.wrap_future(expected), end_after_fit.feeds
    assert feeds.keys() == lists.keys()
    others = [user_id for user_id, feed in lists.items() if feeds[user_id].items != feed.items]
    unlike = [user_id for user_id in others if not alike(feeds[user_id], lists[user_id])]
    furthest = max(
        abs(one - other)
        for user_id, feed in lists.items()
        for one, other in zip(feeds[user_id].scores, feed.scores, strict=True)
    )
    print(
        f"{len(lists)} feeds: {len(lists) - len(others)} the same, {len(others) - len(unlike)} with ties"
        f" in another order, {len(unlike)} unlike; scores are at most {furthest:.1e} apart"
    )
    assert not unlike


async def test_publishing_everything_twice_changes_nothing(end_after_repeat: End, end_after_fit: End) -> None:
    assert_same(end_after_repeat, end_after_fit)


def assert_same(actual_end: End, expected: End) -> None:
    assert actual_end.dead_letters == expected.dead_letters
    for name in ("features", "stats"):
        assert getattr(actual_end, name).keys() == getattr(expected, name).keys()
        for key, record in getattr(expected, name).items():
            assert close(comparable(getattr(actual_end, name)[key]), comparable(record)), f"{name} of {key}"
    assert actual_end.feeds.keys() == expected.feeds.keys()
    for user_id, feed in expected.feeds.items():
        assert alike(actual_end.feeds[user_id], feed, within=max(SAME, stored_step(feed))), f"feed of {user_id}"


def stored_step(feed: Feed) -> float:
    """Return the step between two scores as the store rounds them, to the seven digits that the highest holds.

    Sums that differ in their last bits may end on either side of where it rounds.
    """
    return 1.01 * 10.0 ** (floor(log10(max(feed.scores))) - 6)


def comparable(record: Any) -> Any:
    """Return a record without what says when it was made, or where its last event lies, not what it says."""
    return {
        name: value
        for name, value in msgspec.to_builtins(record).items()
        if name not in ("version", "interactions_offset")
    }


def close(one: Any, other: Any) -> bool:
    """Say whether two values are the same."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float):
        return isclose(one, other, rel_tol=SAME, abs_tol=SAME)
    return bool(one == other)


def alike(feed: Feed, expected: Feed, *, within: float = EQUAL) -> bool:
    """Say whether two feeds are the same but for the order of equal scores, and what they push off the end."""
    scores = dict(zip(expected.items, expected.scores, strict=True))
    last = min(expected.scores)
    return all(
        isclose(score, other, rel_tol=within, abs_tol=within)
        and isclose(score, scores.get(item, last), rel_tol=within, abs_tol=within)
        for item, score, other in zip(feed.items, feed.scores, expected.scores, strict=True)
    )
