"""Prefetch: what it does to the freshness of feeds that a slow model is being asked for hundreds of users.

The same events are measured three times, as `bench.freshness` does: while the fetch role has nothing to do; while all
those users are asked for at once, and again as soon as all answers are there; and while as many questions are under way
without a pause. A double of the model takes some seconds for each.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

import httpx

from bench import freshness, history
from bench.latency import summary_ms
from bench.load import Load
from bench.rig import Rig
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
_WITHIN_S = 120.0


async def measure(rig: Rig, load: Load, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return the percentiles of freshness without questions, with waves of them, and with as many all the time."""
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
        asking = asyncio.create_task(_ask_in_waves(rig, load, until_s=time.monotonic() + seconds))
        waves = await freshness.run(rig, load, RATE_PER_S, seconds=seconds)
        await asking
        await _ask_always(rig, load, seconds=seconds)
        always = await freshness.run(rig, load, RATE_PER_S, seconds=seconds)
    rig.folded = None
    return {"without": summary_ms(without), "waves": summary_ms(waves), "always": summary_ms(always)}


async def _ask_in_waves(rig: Rig, load: Load, *, until_s: float) -> None:
    """Ask for all users, and again whenever all were answered."""
    answers = 0

    def answered(sign: Any) -> bool:
        return int(sum(sign["answered"].values())) >= answers

    while time.monotonic() < until_s:
        answers += await _ask(rig, load, rounds=1)
        await _until(rig, answered)


async def _ask_always(rig: Rig, load: Load, *, seconds: float) -> None:
    """Ask for all users so often that as many fetches are under way for some time, and wait until they are."""
    rounds = math.ceil(seconds / MODEL_S) + 1
    asked = await _ask(rig, load, rounds=rounds)
    await _until(rig, lambda sign: bool(sign["waiting"] >= asked // rounds))


async def _ask(rig: Rig, load: Load, *, rounds: int) -> int:
    """Publish requests for so many rounds of all users, no two alike; return how many."""
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
    return len(requests)


async def _until(rig: Rig, enough: Callable[[Any], bool]) -> None:
    """Wait until the fetch role's sign of life, which comes once a second, tells of enough.

    Raises:
        TimeoutError: it never did.
    """
    async with asyncio.timeout(_WITHIN_S):
        while True:
            if any(enough(sign) for sign in await heartbeat.signs(rig.redis) if sign["role"] == "fetch"):
                return
            await asyncio.sleep(0.2)
