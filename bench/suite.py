"""The parts of the benchmark, one after the other on one set of servers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import freshness, memory, read, restart, throughput
from bench.load import Load, Size
from bench.rig import OnProgress, Rig, a_rig
from infra.local import OnStep
from infra.settings import Settings

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and how long."""

    size: Size
    freshness_s: float
    read_s: float
    restart_users: int

    def __str__(self) -> str:
        size = self.size
        return (
            f"Throughput: {size.events:,} interactions of {size.users:,} users (Zipf 1.0) with {size.items:,} items lie"
            " in the topic; one worker with the feed role alone; the trainer has learned from them before and is"
            " stopped. Peers read the same topic after it, each alone. The worker's clock starts when its first batch"
            " is folded and ends with the last feed in Redis.\n"
            f"Freshness: open loop, {self.freshness_s:g} s at each rate, one feed worker and the trainer running;"
            " counted from when an event was due to when its feed was replaced in Redis.\n"
            f"Read: {read.CONNECTIONS} connections, closed loop, {self.read_s:g} s, one API process, users drawn"
            " evenly.\n"
            f"Restart: {self.restart_users:,} users in the table on RocksDB; {restart.USERS} of them must have a feed"
            " that knows of what was published after the kill."
        )


FULL = Plan(Size(events=200_000, users=10_000, items=5_000), freshness_s=20.0, read_s=10.0, restart_users=100_000)
QUICK = Plan(Size(events=10_000, users=500, items=500), freshness_s=3.0, read_s=2.0, restart_users=2_000)
"""To see that it works; the figures mean nothing."""

Part = Callable[[Rig, Load, Plan], Awaitable[dict[str, Any]]]
PARTS: dict[str, Part] = {
    "throughput": lambda rig, load, _: throughput.measure(rig, load),
    "redis": lambda rig, load, _: memory.measure(rig, load),
    "read": lambda rig, load, plan: read.measure(rig, load, seconds=plan.read_s),
    "freshness": lambda rig, load, plan: freshness.measure(rig, load, seconds=plan.freshness_s),
    "restart": lambda rig, load, plan: restart.measure(rig, load, users=plan.restart_users),
}
"""In the order in which one can go on with what the one before has left."""


async def run(
    parts: Sequence[str], plan: Plan, settings: Settings, *, on_step: OnStep, on_progress: OnProgress
) -> dict[str, Any]:
    """Measure some parts and return their figures by name."""
    load = Load(plan.size, now_ms=int(time.time() * 1_000))
    async with a_rig(settings, on_step=on_step, on_progress=on_progress) as rig:
        return {name: await part(rig, load, plan) for name, part in PARTS.items() if name in parts}
