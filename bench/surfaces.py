"""Surfaces: every GET that reads a feed which lies ready, while events flow in as the shop's document promises to bear.

One API process, one process of each role that writes what is read, all on the same machine as the events' source and as
those who ask.
"""

from __future__ import annotations

import asyncio
import random
import time

import httpx

from bench import freshness, history, read
from bench.load import Load
from bench.rig import Rig
from infra.local.port import HOST, free_ports

EVENTS_PER_S = 170
_PATHS = {
    "GET /content": "/content?user_id={user}",
    "GET /results/{user_id}": "/results/{user}",
    "GET /recommendations/home": "/recommendations/home?user_id={user}",
    "GET /api/v1/recommendations": "/api/v1/recommendations?user_id={user}",
    "GET /api/v1/user-profile/{user_id}": "/api/v1/user-profile/{user}",
}
_USERS = 2_000
_STOCKED_WITHIN_S = 300.0


async def measure(rig: Rig, load: Load, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return requests per second and latencies by endpoint."""
    await history.ensure_folded(rig, load)
    rng = random.Random(1)  # noqa: S311 - users to ask for, not a secret
    active = list(dict.fromkeys(event.user_id for event in load.history()))
    users = rng.sample(active, min(_USERS, len(active)))
    (port,) = free_ports(1)

    async def is_there(client: httpx.AsyncClient) -> bool:
        """Say whether all that is read lies ready: the archive, from which the shop is stocked, takes its time."""
        answers = [await client.get(path.format(user=users[0])) for path in _PATHS.values()]
        if not all(answer.is_success for answer in answers):
            return False
        return bool((await client.get("/recommendations/home")).json()["trending"])

    found = {}
    async with (
        rig.worker("feed"),
        rig.worker("trainer"),
        rig.worker("archive"),
        rig.worker("log"),
        rig.worker("shop"),
        rig.process("api", "-m", "cli.main", "api", API_PORT=str(port)),
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", transport=httpx.AsyncHTTPTransport(retries=10)) as client,
    ):
        async with asyncio.timeout(_STOCKED_WITHIN_S):
            while not await is_there(client):
                await asyncio.sleep(1.0)
        await rig.rest("let the workers start", "feed", "trainer")
        for salt, (name, path) in enumerate(_PATHS.items(), 1):
            flowing = asyncio.create_task(_flow(rig, load, seconds=seconds + 2 * read.WARM_UP_S, salt=salt))
            found[name] = await read.ask(rig, port, [path.format(user=user) for user in users], seconds=seconds)
            await flowing
    rig.folded = None
    return found


async def _flow(rig: Rig, load: Load, *, seconds: float, salt: int) -> None:
    start_ms, step_ms = round(time.time() * 1_000), 1_000 // EVENTS_PER_S  # whole ms: rather more events than fewer
    events = load.live(round(1_000 * seconds / step_ms), start_ms=start_ms, step_ms=step_ms, salt=10_000 + salt)
    await freshness.publish(rig, events, rate_per_s=EVENTS_PER_S)
