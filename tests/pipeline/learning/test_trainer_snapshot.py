"""The trainer on the real stack, killed: it continues from its snapshot, and knows what it would have known."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infra.address import Addresses
from models import artifact
from schemas.types import Interaction
from streams.core.learning.learner import Learner
from streams.core.learning.snapshot import Arrays, pack, unpack
from streams.core.ranking.pipeline import MODEL
from tests.build import T0_MS, an_interaction, an_item
from tests.params import LEARNER_PARAMS
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEMS

USERS, ITEM_COUNT, EVENTS, MORE = 40, 60, 600, 70
SETTINGS = {
    "MODEL_FIT_INTERVAL_S": "0",
    "MODEL_FULL_FIT_INTERVAL_S": "0",
    "MODEL_PUBLISH_INTERVAL_S": "0",
    "TRAINER_SNAPSHOT_INTERVAL_S": "0.2",
}
WITHIN_S = 240.0


def events(start: int, end: int) -> Iterator[Interaction]:
    """Yield some of a stream in which each user goes through the catalogue in steps of their own."""
    for number in range(start, end):
        user, turn = number % USERS, number // USERS
        yield an_interaction(
            event_id=f"e{number}", user_id=f"u{user}", item_id=f"i{turn * (user % 7 + 1) % ITEM_COUNT}",
            action="like" if number % 3 else "view", occurred_at=T0_MS + 60_000 * number,
        )  # fmt: skip


@pytest.fixture
async def pipeline(stack: Addresses, tmp_path: Path) -> AsyncIterator[Pipeline]:
    """A pipeline with a catalogue and 600 events, at which no role works yet."""
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        await pipeline.publish(INTERACTIONS, list(events(0, EVENTS)))
        yield pipeline


async def learned(pipeline: Pipeline, interactions: int, **env: str) -> dict[str, Any]:
    """Start a trainer, wait until it has learned and published everything, and return its heartbeat."""
    trainer = await pipeline.start("trainer", **(SETTINGS | env))

    async def caught_up() -> dict[str, Any] | None:
        for beat in await pipeline.roles():
            topic = f"{INTERACTIONS.name}-"
            progress = sum(offset for name, offset in beat.get("positions", {}).items() if name.startswith(topic))
            if beat["pid"] == trainer.pid and progress == interactions and not beat["waiting"]:
                in_file = beat["snapshot"].get("interactions") if "bytes" in beat["snapshot"] else None
                if in_file == interactions or "TRAINER_SNAPSHOT_INTERVAL_S" in env:
                    return beat
        return None

    result: dict[str, Any] = await until(caught_up, timeout_s=WITHIN_S, what="the trainer to learn and save everything")
    await pipeline.kill(trainer)
    return result


def learner_arrays(pipeline: Pipeline) -> Arrays:
    """Return the state of the learner in the newest snapshot."""
    return pack(unpack(artifact.load(snapshots(pipeline)[-1])[1])["state"]["learner"])


def snapshots(pipeline: Pipeline) -> list[Path]:
    return sorted((pipeline.home / "models" / MODEL / "snapshots").glob("*.safetensors"))


def log(pipeline: Pipeline) -> str:
    return "".join(path.read_text() for path in sorted(pipeline.home.glob("process-*.log")))


async def test_a_killed_trainer_reads_what_came_since_and_knows_what_it_would_have(pipeline: Pipeline) -> None:
    first = await learned(pipeline, EVENTS)
    assert (first["start"]["interactions"], "snapshot_at" in first["start"]) == (EVENTS, False)
    await pipeline.publish(INTERACTIONS, list(events(EVENTS, EVENTS + MORE)))
    second = await learned(pipeline, EVENTS + MORE)
    assert (second["start"]["interactions"], "snapshot_at" in second["start"]) == (MORE, True)
    assert len(snapshots(pipeline)) == 2
    after_a_kill = learner_arrays(pipeline)
    for path in snapshots(pipeline):
        path.unlink()
    straight = await learned(pipeline, EVENTS + MORE)
    assert straight["start"]["interactions"] == EVENTS + MORE
    straight_arrays = learner_arrays(pipeline)
    assert straight_arrays.keys() == after_a_kill.keys()
    assert all(np.array_equal(array, after_a_kill[name]) for name, array in straight_arrays.items())


async def test_a_snapshot_knows_what_retention_has_deleted(pipeline: Pipeline) -> None:
    await learned(pipeline, EVENTS)
    await pipeline.delete_records(INTERACTIONS)
    await pipeline.publish(ITEMS, [an_item("new", created_at=T0_MS)])
    await pipeline.publish(
        INTERACTIONS, [an_interaction(user_id="u5", item_id="new", occurred_at=T0_MS + 60_000 * EVENTS)]
    )
    second = await learned(pipeline, EVENTS + 1)
    assert second["start"]["interactions"] == 1
    learner = Learner(LEARNER_PARAMS, refits_item_weights=False, learns_links=False)
    learner.restore(unpack(learner_arrays(pipeline)))
    history = [event.item_id for event in events(0, EVENTS) if event.user_id == "u5"]
    assert [item.item_id for item in learner.features("u5").recent] == ["new", *reversed(history)]
    assert learner.events == EVENTS + 1


async def test_a_damaged_snapshot_falls_back_to_the_one_before_and_a_new_topic_to_its_records(
    pipeline: Pipeline,
) -> None:
    await learned(pipeline, EVENTS)
    await pipeline.publish(INTERACTIONS, list(events(EVENTS, EVENTS + MORE)))
    await learned(pipeline, EVENTS + MORE)
    newest = snapshots(pipeline)[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    second = await learned(pipeline, EVENTS + MORE)
    assert 0 < second["start"]["interactions"] <= EVENTS + MORE
    assert "snapshot_at" in second["start"]
    assert f"{newest} is not used" in log(pipeline).replace("\n", "")

    await pipeline.lose(INTERACTIONS.name)
    await pipeline.publish(INTERACTIONS, list(events(0, MORE)))
    anew = await learned(pipeline, MORE)
    assert (anew["start"]["interactions"], "snapshot_at" in anew["start"]) == (MORE, False)
    assert "it is of other topics" in log(pipeline)
