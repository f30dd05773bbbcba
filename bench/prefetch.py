"""Prefetch: what it does to the freshness of feeds that a slow model is being asked for hundreds of users.

The same events are measured twice, as `bench.freshness` does: while the fetch role has nothing to do, and while it has
as many questions under way all the time, each to a double of the model that takes some seconds.
"""

from __future__ import annotations

import asyncio
import math
import time

import httpx

from bench import freshness, history
from bench.latency import summary_ms
from bench.load import Load
from bench.rig import BenchError, Rig
from infra import heartbeat
from infra.double.claude import KEY
from infra.local.port import HOST, free_ports
from schemas.types import FetchRequest
from topics.topic import FETCH_REQUESTS

USERS = 500
"""Users for each of whom a question is under way."""
MODEL_S = 3.0
RATE_PER_S = 200
_NO_LIMIT = "1e6"
_UNDER_WAY_WITHIN_S = 120.0


async def measure(rig: Rig, load: Load, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return the percentiles of freshness without and with questions under way."""
    await history.ensure_folded(rig, load)
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"

    async def answers() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    async with (
        rig.process("model", "-m", "bench.model", str(port), str(MODEL_S), check=answers),
        rig.worker("feed"),
        rig.worker("trainer"),
        rig.worker("archive"),
        rig.process(
            *("worker fetch", "-m", "cli.main", "worker", "--roles", "fetch"),
            LLM_BASE_URL=url,
            ANTHROPIC_API_KEY=KEY,
            LLM_CONCURRENCY=str(USERS),
            LLM_BUDGET_USD=_NO_LIMIT,
            LLM_BUDGET_CATEGORY_USD=_NO_LIMIT,
            LLM_BUDGET_USER_USD=_NO_LIMIT,
        ),
    ):
        await rig.rest("let the workers start", "feed", "trainer")
        without = await freshness.run(rig, load, RATE_PER_S, seconds=seconds)
        await _ask(rig, load, rounds=math.ceil(seconds / MODEL_S) + 1)
        during = await freshness.run(rig, load, RATE_PER_S, seconds=seconds)
    rig.folded = None
    return {"without": summary_ms(without), "during": summary_ms(during)}


async def _ask(rig: Rig, load: Load, *, rounds: int) -> None:
    """Publish requests for so many rounds of all users, no two alike, and wait until they are under way.

    Raises:
        BenchError: they never were.
    """
    now_ms = int(time.time() * 1_000)
    requests = [
        FetchRequest(
            event_id=f"bench-{now_ms}-{turn}-{rank}",
            user_id=load.user_id(rank),
            category="music",
            trigger_id="bench",
            about=f'{{"category":"music","interests":["{turn} {rank}"]}}',
            occurred_at=now_ms + turn,
        )
        for turn in range(rounds)
        for rank in range(min(USERS, load.size.users))
    ]
    await rig.publish(FETCH_REQUESTS, requests, total=len(requests))
    async with asyncio.timeout(_UNDER_WAY_WITHIN_S):
        while True:
            signs = await heartbeat.signs(rig.redis)
            waiting = sum(sign["waiting"] for sign in signs if sign["role"] == "fetch")
            if waiting >= min(USERS, load.size.users):
                return
            if not signs:
                raise BenchError("the fetch role does not run")
            await asyncio.sleep(0.2)
