"""Compat: every GET endpoint that reads a stored feed, under the event rate promised in the shop's document.

One API process and one process of each writing role share the machine with the event source and the load generator.
"""

from __future__ import annotations

import asyncio
import random
import time

import httpx

from bench import history
from bench.cases import freshness
from bench.cases.http import read
from bench.load import EventLoad
from bench.rig import BenchError, Rig
from infra.local.port import HOST, free_ports

EVENTS_PER_S = 170
_PATHS = {
    "GET /content": "/content?user_id={user}",
    "GET /results/{user_id}": "/results/{user}",
    "GET /recommendations/home": "/recommendations/home?user_id={user}",
    "GET /api/v1/recommendations": "/api/v1/recommendations?user_id={user}",
    "GET /api/v1/feed": "/api/v1/feed?username={user}",
}
_STOCKED_WITHIN_S = 300.0


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return requests per second and latencies by endpoint."""
    await history.ensure_folded(rig, load)
    users = list(dict.fromkeys(event.user_id for event in load.history()))
    random.Random(1).shuffle(users)  # noqa: S311 - users to ask for, not a secret
    (port,) = free_ports(1)
    paths = {name: [path.format(user=user) for user in users] for name, path in _PATHS.items()}
    figures = {}
    async with (
        rig.worker("feed"),
        rig.worker("links"),
        rig.worker("trainer"),
        rig.worker("archive"),
        rig.worker("log"),
        rig.worker("shop"),
        rig.process("api", "-m", "cli.main", "api", API_PORT=str(port)),
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", transport=httpx.AsyncHTTPTransport(retries=10)) as client,
    ):
        await rig.wait_until_idle("let the workers start", "feed", "links", "trainer")
        await _ready(client, [each[0] for each in paths.values()])
        for salt, (name, each) in enumerate(paths.items(), 1):
            flowing = asyncio.create_task(_flow(rig, load, seconds=seconds + 2 * read.WARM_UP_S, salt=salt))
            figures[name] = await read.ask(rig, port, each, seconds=seconds)
            await flowing
    rig.folded_size = None
    return figures


async def _ready(client: httpx.AsyncClient, paths: list[str]) -> None:
    """Wait until all read models are complete; the archive, which feeds the shop, takes longest."""
    deadline_s = time.monotonic() + _STOCKED_WITHIN_S
    while missing := await _missing(client, paths):
        if time.monotonic() > deadline_s:
            raise BenchError(f"not ready within {_STOCKED_WITHIN_S:g} s: {missing}")
        await asyncio.sleep(1.0)


async def _missing(client: httpx.AsyncClient, paths: list[str]) -> str:
    """Return a description of the first incomplete response; empty when all are complete."""
    for path in paths:
        response = await client.get(path)
        if not response.is_success:
            return f"{path} answers {response.status_code}: {response.text[:200]}"
        body = response.json()
        for field in ("trending", "posts"):
            if not body.get(field, True):
                return f"{path} has no {field}"
    return ""


async def _flow(rig: Rig, load: EventLoad, *, seconds: float, salt: int) -> None:
    start_ms, step_ms = round(time.time() * 1_000), 1_000 // EVENTS_PER_S  # whole ms: rounds the rate up
    events = load.live(round(1_000 * seconds / step_ms), start_ms=start_ms, step_ms=step_ms, salt=10_000 + salt)
    await freshness.publish(rig, events, rate_per_s=EVENTS_PER_S)
