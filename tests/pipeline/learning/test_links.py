"""Links on the real stack: two workers share the partitions, one is killed, and the rows are those of one learner."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from domain.timestamp import DAY_MS
from infra import clock
from infra.address import Addresses
from models.neighbours.cooccurrence import NEXT, TOGETHER
from schemas.types import Interaction, ItemNeighbors, LinkUpdates
from streams.core.item.link_events import EVENT
from streams.core.learning.learner import Learner
from streams.core.position import Position
from tests.build import T0_MS, an_interaction, an_item
from tests.params import LEARNER_PARAMS
from tests.pipeline.pipeline import Pipeline, a_pipeline, until
from topics.topic import INTERACTIONS, ITEM_NEIGHBORS, ITEMS, LINK_UPDATES, PARTITIONS

USERS, ITEM_COUNT, EVENTS = 40, 120, 3_000
SETTINGS = {"MODEL_FIT_INTERVAL_S": "0", "MODEL_FULL_FIT_INTERVAL_S": "0"}


def events() -> list[Interaction]:
    """Return a stream with returns, with timestamp groups, and with actions of both weights."""
    draw = random.Random(7)
    return [
        an_interaction(
            event_id=f"e{number}",
            user_id=f"u{draw.randrange(USERS)}",
            item_id=f"i{min(draw.randrange(ITEM_COUNT), draw.randrange(ITEM_COUNT))}",
            action=draw.choice(["view", "click", "like"]),
            occurred_at=T0_MS + 40_000 * (number // 3),
        )
        for number in range(EVENTS)
    ]


def learned(interactions: list[Interaction]) -> Learner:
    """Return what one learner learns that is never interrupted, of events that all arrive today."""
    learner, today_ms = Learner(LEARNER_PARAMS, refits_item_weights=False), clock.now_ms()
    for number, event in enumerate(interactions):
        learner.learn(event, Position(0, number, today_ms), learn_weights=False)
    return learner


def half_lives(row: ItemNeighbors, learner: Learner) -> float:
    """Return the half-lives from the reference time of a row to that of a learner."""
    reference_ms = learner.catalog.neighbors.reference_ms or 0
    return (reference_ms - row.reference) / (LEARNER_PARAMS.cooccurrence_half_life_days * DAY_MS)


def check_rows(rows: dict[str, ItemNeighbors], learner: Learner) -> None:
    """Compare published rows with those of a learner."""
    items, table = learner.catalog.items, learner.catalog.neighbors
    assert rows.keys() == set(items.names)
    for item_id, row in rows.items():
        index = items.get(item_id)
        others, sums = table.links.row(index)
        factor = 2.0 ** half_lives(row, learner)
        links = dict(zip(row.neighbors, zip(row.scores, row.follows, strict=True), strict=True))
        names = [items.names[other] for other in others.tolist()]
        assert links.keys() == set(names), item_id
        expected = sums[[TOGETHER, NEXT]].T * factor
        np.testing.assert_allclose(np.array([links[name] for name in names]).reshape(-1, 2), expected, rtol=1e-9)
        assert row.mass == pytest.approx(table.links.event_count(index) * factor, rel=1e-9), item_id


async def positions(pipeline: Pipeline) -> dict[int, dict[str, int]]:
    """Return the next offsets of each worker of the links, by process."""
    return {beat["pid"]: beat["positions"] for beat in await pipeline.roles() if beat["role"] == "links"}


async def shared(pipeline: Pipeline, workers: int) -> bool:
    """Return whether so many workers hold all partitions together."""
    partition_counts = [len(own) for own in (await positions(pipeline)).values()]
    return len(partition_counts) == workers and all(partition_counts) and sum(partition_counts) == PARTITIONS


async def test_a_killed_worker_of_two_changes_no_row(stack: Addresses, tmp_path: Path) -> None:
    interactions = events()
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        feed = await pipeline.start("feed")
        await pipeline.start("trainer", **SETTINGS)
        one = await pipeline.start("links", worker_id="1")
        await pipeline.start("links", worker_id="2")
        await until(lambda: shared(pipeline, 2), what="two workers with all partitions")
        third = EVENTS // 3
        await pipeline.publish(INTERACTIONS, interactions[:third])

        async def published() -> bool:
            return len(await pipeline.newest(ITEM_NEIGHBORS)) > ITEM_COUNT // 4

        await until(published, what="some rows")
        await pipeline.publish(INTERACTIONS, interactions[third : 2 * third])
        await pipeline.kill(one)
        await pipeline.kill(feed)  # its last batches come again, with other boundaries
        await pipeline.start("feed")
        await pipeline.publish(INTERACTIONS, interactions[2 * third :])
        await until(lambda: shared(pipeline, 1), what="one worker with all partitions")
        await pipeline.start("links", worker_id="3")
        await pipeline.settle()
        check_rows(await pipeline.newest(ITEM_NEIGHBORS), learned(interactions))
        assert not await pipeline.dead_letters()
        records = await pipeline.read(LINK_UPDATES)
        sizes = sum(len(one.events) + len(one.outgoing) + len(one.incoming) for one in records)
        ids = sum(len(item_id) + 1 for one in records for item_id in one.items)
        print(f"{len(records)} records, {(sizes + ids) / EVENTS:.0f} bytes for each interaction")


async def test_a_worker_that_was_paused_does_not_write_over_the_rows_of_its_successor(
    stack: Addresses, tmp_path: Path
) -> None:
    interactions = events()
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        await pipeline.start("feed")
        await pipeline.start("trainer", **SETTINGS)
        first = await pipeline.start("links", worker_id="1")
        await until(lambda: shared(pipeline, 1), what="a worker with all partitions")
        await pipeline.publish(INTERACTIONS, interactions[: EVENTS // 2])
        first.send_signal(signal.SIGSTOP)
        try:
            await pipeline.start("links", worker_id="2")
            await pipeline.publish(INTERACTIONS, interactions[EVENTS // 2 :])

            async def taken_over() -> bool:
                own = [own for pid, own in (await positions(pipeline)).items() if pid != first.pid]
                return sum(map(len, own)) == PARTITIONS

            await until(taken_over, what="the other worker with all partitions")
            await pipeline.settle()
        finally:
            first.send_signal(signal.SIGCONT)
        await asyncio.wait_for(until(lambda: joined(pipeline, first), what="the worker to end or to join again"), 60)
        await pipeline.settle()
        check_rows(await pipeline.newest(ITEM_NEIGHBORS), learned(interactions))


async def test_updates_that_are_unusable_or_gone_do_not_hold_up_the_others(stack: Addresses, tmp_path: Path) -> None:
    interactions = events()
    async with a_pipeline(stack, tmp_path) as pipeline:
        await pipeline.publish(ITEMS, [an_item(f"i{n}", created_at=T0_MS - 1) for n in range(ITEM_COUNT)])
        await pipeline.start("feed")
        await pipeline.start("trainer", **SETTINGS)
        worker = await pipeline.start("links")
        await pipeline.publish(INTERACTIONS, interactions[:600])
        await pipeline.settle()
        before = await pipeline.newest(ITEM_NEIGHBORS)
        check_rows(before, learned(interactions[:600]))

        await pipeline.kill(worker)
        await pipeline.publish(INTERACTIONS, interactions[600:900])
        await until(lambda: emitted(pipeline, 900), what="updates of all interactions")
        await pipeline.delete_records(LINK_UPDATES)
        unusable = LinkUpdates(
            item_id="i1", source_partition=0, items=["i1"], events=bytes(37), outgoing=b"123", incoming=b""
        )
        await pipeline.publish(LINK_UPDATES, [unusable])
        await pipeline.start("links")
        await pipeline.publish(INTERACTIONS, interactions[900:])
        await pipeline.settle()
        assert [(letter.topic, letter.stage) for letter in await pipeline.dead_letters()] == [
            (LINK_UPDATES.name, "links.apply")
        ]
        after = await pipeline.newest(ITEM_NEIGHBORS)
        counts = [event_counts(learned(interactions[:end])) for end in (600, 900, EVENTS)]
        learner = learned(interactions)
        for item_id, row in after.items():
            present, later, complete = (by_item.get(item_id, 0.0) for by_item in counts)
            expected = (complete - (later - present)) * 2.0 ** half_lives(row, learner)
            assert row.mass == pytest.approx(expected, rel=1e-9), item_id


def event_counts(learner: Learner) -> dict[str, float]:
    """Return the event count of each item."""
    links = learner.catalog.neighbors.links
    return {item_id: links.event_count(index) for index, item_id in enumerate(learner.catalog.items.names)}


async def emitted(pipeline: Pipeline, count: int) -> bool:
    """Return whether link updates have been published of so many interactions."""
    positions = set()
    for record in await pipeline.read(LINK_UPDATES):
        events = np.frombuffer(record.events, EVENT)
        positions.update((record.source_partition, offset) for offset in events["offset"].tolist())
    return len(positions) == count


async def joined(pipeline: Pipeline, worker: asyncio.subprocess.Process) -> bool:
    """Return whether a worker has ended, or holds partitions beside another."""
    return worker.returncode is not None or await shared(pipeline, 2)
