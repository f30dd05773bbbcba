"""Sharing: the time in which one worker and two take a topic through a stage, where the group shares the partitions.

A stage's clock starts when its first worker is ready, or with the first heartbeat of one that tells nothing of it, and
ends with the broker's append time of its last output.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from bench.load import EventLoad
from bench.log import last_append_ms
from bench.rig import Rig
from infra.redis import heartbeat
from topics import Topic
from topics.topic import FEEDS, INTERACTIONS, ITEM_NEIGHBORS, ITEMS

WORKERS = (1, 2)
STAGES = {"feed": FEEDS, "links": ITEM_NEIGHBORS}
"""The last output of each stage."""


async def measure(rig: Rig, load: EventLoad) -> dict[str, int]:
    """Return interactions per second of each stage, by number of workers."""
    figures = {}
    for count in WORKERS:
        await rig.reset()
        await rig.publish(ITEMS, load.items, total=load.size.items)
        await rig.publish(INTERACTIONS, load.history(), total=load.size.events)
        async with AsyncExitStack() as processes:
            for stage, output in STAGES.items():
                seconds = await _seconds(rig, processes, stage, output, count=count)
                figures[f"{stage}_{count}_eps"] = round(load.size.events / seconds)
    return figures


async def _seconds(rig: Rig, processes: AsyncExitStack, stage: str, output: Topic, *, count: int) -> float:
    """Start workers of a stage, and return the time until their work is done."""
    for number in range(count):
        arguments = ("-m", "cli.main", "worker", "--roles", stage)
        await processes.enter_async_context(rig.process(f"worker {stage} {number}", *arguments, WORKER_ID=str(number)))
    running = [name for name in STAGES if stage in (name, "links")]
    await rig.wait_until_idle(f"{stage}, workers: {count}", *running)
    beats = [beat for beat in await heartbeat.heartbeats(rig.redis) if beat["role"] == stage]
    began_ms = min(int(beat.get("ready_at", beat["started_at"])) for beat in beats)
    return (await asyncio.to_thread(last_append_ms, rig.kafka, output) - began_ms) / 1_000
