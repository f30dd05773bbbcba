"""Prefetch: the effect of hundreds of fetches from a slow model on the freshness of feeds.

The same events are measured three times, as in `bench.cases.freshness`: with the fetch role idle; with all users'
fetches in flight under the default concurrency, so that few are at the model and the others wait; and with all of them
at the model at once, without a pause. A fake of the model takes some seconds per request.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx

from bench import history
from bench.cases import freshness
from bench.latency import summary_ms
from bench.load import EventLoad
from bench.rig import Rig
from infra.fakes.fake_claude import KEY
from infra.local.port import HOST, free_ports
from infra.redis import heartbeat
from schemas.types import FetchRequest
from topics.topic import FETCH_REQUESTS

USERS = 500
"""Number of users with fetches in flight."""
MODEL_S = 3.0
RATE_PER_S = 200
_NO_LIMIT = "1e6"
_WITHIN_S = 120.0


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return the percentiles of freshness without fetches, with them in flight, and with all at the model at once."""
    await history.ensure_folded(rig, load)
    (port,) = free_ports(1)
    url = f"http://{HOST}:{port}"
    percentiles = {}

    async def answers() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    async with (
        rig.process("model", "-m", "bench.model", str(port), str(MODEL_S), check=answers),
        rig.worker("feed"),
        rig.worker("links"),
        rig.worker("trainer"),
        rig.worker("archive"),
    ):
        async with _fetching(rig, url, at_once=rig.settings.llm_concurrency):
            await _until_under_way(rig, 0)
            await rig.wait_until_idle("let the workers start", "feed", "links", "trainer")
            percentiles["without"] = summary_ms(await freshness.run(rig, load, RATE_PER_S, seconds=seconds))
            request_count = await _ask(rig, load, rounds=1)
            await _until_under_way(rig, min(request_count, rig.settings.llm_concurrency))
            percentiles["in_flight"] = summary_ms(await freshness.run(rig, load, RATE_PER_S, seconds=seconds))
        async with _fetching(rig, url, at_once=USERS):
            request_count = await _ask(rig, load, rounds=(rounds := math.ceil(seconds / MODEL_S) + 1))
            await _until_under_way(rig, request_count // rounds)
            percentiles["at_once"] = summary_ms(await freshness.run(rig, load, RATE_PER_S, seconds=seconds))
    rig.folded_size = None
    return percentiles


def _fetching(rig: Rig, url: str, *, at_once: int) -> AbstractAsyncContextManager[Any]:
    return rig.process(
        *("worker fetch", "-m", "cli.main", "worker", "--roles", "fetch"),
        LLM_BASE_URL=url,
        LLM_CONCURRENCY=str(at_once),
        ANTHROPIC_API_KEY=KEY,
        LLM_BUDGET_USD=_NO_LIMIT,
        LLM_BUDGET_CATEGORY_USD=_NO_LIMIT,
        LLM_BUDGET_USER_USD=_NO_LIMIT,
    )


async def _ask(rig: Rig, load: EventLoad, *, rounds: int) -> int:
    """Publish distinct requests for several rounds of all users; return their number."""
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


async def _until_under_way(rig: Rig, count: int) -> None:
    """Wait until the heartbeat of the fetch role reports at least `count` fetches under way.

    Raises:
        TimeoutError: the number was not reached in time.
    """
    async with asyncio.timeout(_WITHIN_S):
        while True:
            heartbeat_list = [beat for beat in await heartbeat.heartbeats(rig.redis) if beat["role"] == "fetch"]
            if heartbeat_list and sum(beat["waiting"] for beat in heartbeat_list) >= count:
                return
            await asyncio.sleep(0.2)
