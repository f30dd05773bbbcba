"""The benchmark suite: all cases in sequence, on one set of servers where they need any."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cases import (
    exploration,
    footprint,
    freshness,
    growth,
    index,
    prefetch,
    ranking,
    restart,
    scale,
    sizing,
    throughput,
    training,
    workers,
)
from bench.cases.http import compat, context_iq, read, requests
from bench.cases.scale import ScalePlan
from bench.load import EventLoad, Size
from bench.rig import OnBenchProgress, Rig, open_rig
from infra.local import OnStep
from infra.settings import Settings

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and durations of the cases."""

    size: Size
    freshness_s: float
    read_s: float
    compat: Size
    restart_users: int
    ranking: Size
    index_items: int
    sizing: Size
    scale: ScalePlan
    growth: Size
    workers: Size
    exploration_visits: int
    training: Size

    def describe(self, case: str) -> str:
        """Return the description of a case under this plan; empty for a case without one."""
        size, history = self.size, self.ranking
        return {
            "ranking": f"Ranking: the {ranking.MICRO_BATCH} users who acted last of {history.events:,} interactions of"
            f" {history.users:,} users; processor time of one core, in this process.",
            "scale": f"Scale: {scale.USERS} users of generated catalogues (Zipf 1.0), each ranked several times, the"
            " fastest counts; processor time of one core, in this process. Texts of"
            f" {self.scale.text_items:,} items are indexed.",
            "growth": f"Growth: {self.growth.events:,} interactions of {self.growth.users:,} users (Zipf 1.0) with"
            f" {self.growth.items:,} items; one process without servers; processor time.",
            "exploration": f"Exploration: {exploration.SEEDS} simulated worlds with new items,"
            f" {self.exploration_visits} visits each; {exploration.SHARE:.0%} of the places may explore.",
            "index": f"Index: {self.index_items:,} items; recall is held against a look at every one.",
            "throughput": f"Throughput: {size.events:,} interactions of {size.users:,} users (Zipf 1.0) with"
            f" {size.items:,} items lie in the topic; one worker with the feed role alone; the links learned from them"
            " lie in their topic. Peers read the same topic after it, each alone. The worker's clock starts"
            " when it turns to the first record and ends with the last feed in Redis.",
            "workers": f"Workers: {self.workers.events:,} interactions of {self.workers.users:,} users with"
            f" {self.workers.items:,} items lie in the topic; brokers, Redis and all workers share the cores.",
            "sizing": f"Sizing: users' states and links after {self.sizing.events:,} interactions of"
            f" {self.sizing.users:,} users (Zipf 1.0) with {self.sizing.items:,} items.",
            "footprint": "Footprint: weighed on smaller numbers and scaled; links do not grow with the items.",
            "read": f"Read: {read.CONNECTIONS} connections, closed loop, {self.read_s:g} s, one API process, users"
            " drawn evenly.",
            "requests": f"Requests: {read.CONNECTIONS} connections post interactions, closed loop, {self.read_s:g} s;"
            " each is answered once the broker has acknowledged it. Health: one check after another in one process.",
            "compat": f"Compat: as read, while {compat.EVENTS_PER_S} events/s flow in and every role runs that"
            f" writes the data; {self.compat.users:,} users, {self.compat.items:,} items.",
            "context-iq": f"Context IQ: as compat, one request after another, {self.read_s:g} s an operation, and"
            f" {context_iq.READERS} readers who act and ask again {context_iq.READING_S:g} s later. Cold"
            " recommendations are of users whose feeds only the archive has. Health checks ask the servers.",
            "training": f"Training: {self.training.events:,} interactions of {self.training.users:,} users with"
            f" {self.training.items:,} items, in this process.",
            "freshness": f"Freshness: open loop, {self.freshness_s:g} s at each rate, one feed worker, links and"
            " trainer running; counted from when an event was due to when its feed was replaced in Redis.",
            "prefetch": f"Prefetch: freshness again, without and with {prefetch.USERS} users' fetches in flight, for"
            f" which a model that takes {prefetch.MODEL_S:g} s is asked as many at a time as the settings say; then for"
            " all of them at once, without a pause.",
            "restart": f"Restart: {self.restart_users:,} users in the table on RocksDB; {restart.USERS} of them must"
            " have a feed that reflects an event published after the kill.",
        }.get(case, "")


FULL = Plan(
    Size(events=200_000, users=10_000, items=5_000),
    freshness_s=20.0,
    read_s=10.0,
    compat=Size(events=20_000, users=2_000, items=5_000),
    restart_users=100_000,
    ranking=Size(events=100_000, users=5_000, items=10_000),
    index_items=200_000,
    sizing=Size(events=1_000_000, users=100_000, items=20_000),
    scale=ScalePlan((10_000, 100_000, 1_000_000), recall_items=100_000, text_items=5_000),
    growth=Size(events=20_000_000, users=1_000_000, items=1_000_000),
    workers=Size(events=100_000, users=10_000, items=5_000),
    exploration_visits=600,
    training=Size(events=1_000, users=200, items=500),
)
QUICK = Plan(
    Size(events=10_000, users=500, items=500),
    freshness_s=3.0,
    read_s=2.0,
    compat=Size(events=5_000, users=200, items=500),
    restart_users=2_000,
    ranking=Size(events=5_000, users=500, items=500),
    index_items=5_000,
    sizing=Size(events=10_000, users=1_000, items=1_000),
    scale=ScalePlan((1_000, 30_000), recall_items=30_000, text_items=1_000),
    growth=Size(events=20_000, users=1_000, items=1_000),
    workers=Size(events=5_000, users=500, items=500),
    exploration_visits=10,
    training=Size(events=200, users=20, items=50),
)
"""A smoke test; its figures are meaningless."""

StandaloneRunner = Callable[[Plan, Settings, OnBenchProgress], dict[str, Any]]
STANDALONE_CASES: dict[str, StandaloneRunner] = {
    "ranking": lambda plan, settings, tell: ranking.measure(_load(plan.ranking), settings, on_progress=tell),
    "training": lambda plan, settings, tell: training.measure(_load(plan.training), settings, on_progress=tell),
    "sizing": lambda plan, settings, tell: sizing.measure(_load(plan.sizing), settings, on_progress=tell),
    "scale": lambda plan, settings, tell: scale.measure(plan.scale, settings, on_progress=tell),
    "growth": lambda plan, _, tell: growth.measure(plan.growth, on_progress=tell),
    "exploration": lambda plan, settings, tell: exploration.measure(
        settings, visits=plan.exploration_visits, on_progress=tell
    ),
    "index": lambda plan, _, tell: index.measure(_load(Size(0, 0, plan.index_items)), on_progress=tell),
}
"""Cases without servers."""
CaseRunner = Callable[[Rig, EventLoad, Plan], Awaitable[dict[str, Any]]]
RIG_CASES: dict[str, CaseRunner] = {
    "throughput": lambda rig, load, _: throughput.measure(rig, load),
    "workers": lambda rig, load, plan: workers.measure(rig, load.resized(plan.workers)),
    "redis": lambda rig, load, _: footprint.measure_redis(rig, load),
    "footprint": lambda rig, load, _: footprint.measure(rig, load),
    "read": lambda rig, load, plan: read.measure(rig, load, seconds=plan.read_s),
    "requests": lambda rig, load, plan: requests.measure(rig, load, seconds=plan.read_s),
    "context-iq": lambda rig, load, plan: context_iq.measure(
        rig, load.resized(plan.compat, posts=True), seconds=plan.read_s
    ),
    "compat": lambda rig, load, plan: compat.measure(rig, load.resized(plan.compat, posts=True), seconds=plan.read_s),
    "freshness": lambda rig, load, plan: freshness.measure(rig, load, seconds=plan.freshness_s),
    "prefetch": lambda rig, load, plan: prefetch.measure(rig, load, seconds=plan.freshness_s),
    "restart": lambda rig, load, plan: restart.measure(rig, load, users=plan.restart_users),
}
"""Cases with servers, in an order that lets each reuse the state of the one before."""
CASES = (*STANDALONE_CASES, *RIG_CASES)
LONG_CASES = ("growth",)
"""Cases that run only by name: each takes an hour."""


async def run(
    cases: Sequence[str], plan: Plan, settings: Settings, *, on_step: OnStep, on_progress: OnBenchProgress
) -> dict[str, Any]:
    """Run some cases and return their figures by name."""
    results = {
        name: await asyncio.to_thread(measure, plan, settings, on_progress)
        for name, measure in STANDALONE_CASES.items()
        if name in cases
    }
    rig_cases = {name: measure for name, measure in RIG_CASES.items() if name in cases}
    if rig_cases:
        load = _load(plan.size)
        async with open_rig(settings, on_step=on_step, on_progress=on_progress) as rig:
            results |= {name: await measure(rig, load, plan) for name, measure in rig_cases.items()}
    return results


def _load(size: Size) -> EventLoad:
    return EventLoad(size, now_ms=int(time.time() * 1_000))
