"""Replaying MovieLens: crashes and repeats change nothing in the end state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from infra.address import Addresses
from infra.dataset import movielens, world
from infra.dataset.dataset import Dataset
from infra.feed_store import RedisFeedStore
from schemas.types import Feed, Interaction
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS, PROFILES

FOLDER = Path(os.environ.get("MOVIELENS_DIR", Path(__file__).parents[3] / "shared" / "data" / "ml-100k"))
"""MovieLens 100K may not be redistributed: where it is not at hand, a world of our own is replayed."""


UNWEIGHED = {"MODEL_PUBLISH_INTERVAL_S": "0", "MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}
"""What is learned live depends on how far the trainer lags; the end state without it, and without fits, does not."""


@dataclass(frozen=True)
class End:
    """What a replay has come to."""

    features: dict[str, Any]
    stats: dict[str, Any]
    feeds: dict[str, Feed]
    dead_letters: int


def a_dataset() -> Dataset:
    if FOLDER.is_dir():
        return movielens.read(FOLDER)
    return world.build(seed=7, now_ms=1_700_000_000_000)


async def replay(addresses: Addresses, home: Path, data: Dataset, *, times: int = 1, kills: int = 0) -> End:
    """Publish a data set, wait until it is served, have everyone ranked again and return what there is."""
    async with a_pipeline(addresses, home) as pipeline:
        worker = await pipeline.start("feed")
        await pipeline.start("trainer", **UNWEIGHED)
        await pipeline.publish(ITEMS, data.items)
        await pipeline.publish(PROFILES, data.profiles)
        await pipeline.settle()
        for _ in range(times):
            for part in _parts(data.interactions, max(kills, 1)):
                before = await pipeline.signals()
                await pipeline.publish(INTERACTIONS, part)
                if kills:
                    await until(lambda before=before: _signalled(pipeline, before), timeout_s=120, what="folding")
                    await pipeline.kill(worker)
                    worker = await pipeline.start("feed")
        await pipeline.settle(300)
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


@pytest.fixture(scope="module")
def data() -> Dataset:
    return a_dataset()


@pytest.fixture(scope="module")
async def undisturbed(stack: Addresses, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> End:
    return await replay(stack, tmp_path_factory.mktemp("undisturbed"), data)


async def test_every_event_is_accounted_for_and_every_user_has_a_feed(undisturbed: End, data: Dataset) -> None:
    folded = sum(features.event_count for features in undisturbed.features.values())
    assert folded + undisturbed.dead_letters == len(data.interactions)
    assert set(undisturbed.feeds) == {event.user_id for event in data.interactions}
    assert all(len(feed.items) == 50 for feed in undisturbed.feeds.values())


async def test_three_crashes_change_nothing(stack: Addresses, data: Dataset, undisturbed: End, tmp_path: Path) -> None:
    assert_same(await replay(stack, tmp_path, data, kills=3), undisturbed)


async def test_publishing_everything_twice_changes_nothing(
    stack: Addresses, data: Dataset, undisturbed: End, tmp_path: Path
) -> None:
    assert_same(await replay(stack, tmp_path, data, times=2), undisturbed)


def assert_same(found: End, expected: End) -> None:
    assert found.dead_letters == expected.dead_letters
    for name in ("features", "stats"):
        assert getattr(found, name).keys() == getattr(expected, name).keys()
        for key, record in getattr(expected, name).items():
            assert close(comparable(getattr(found, name)[key]), comparable(record)), f"{name} of {key}"
    for user_id, feed in expected.feeds.items():
        assert found.feeds[user_id].items == feed.items, f"feed of {user_id}"
        assert found.feeds[user_id].scores == pytest.approx(feed.scores, abs=1e-6)


def comparable(record: Any) -> Any:
    """Return a record without its version, which says when it was made, not what it says."""
    return {name: value for name, value in msgspec.to_builtins(record).items() if name != "version"}


def close(one: Any, other: Any) -> bool:
    """Say whether two values are the same, numbers within 1e-6."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float):
        return one == other or abs(one - other) <= 1e-6
    return bool(one == other)
