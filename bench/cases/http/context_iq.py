"""Context IQ: the operations that its document names a time for, one request after another, and its cache hit rate.

The archive runs for cold recommendations, which it keeps for users who have none in Redis; the feed role and the log
join it for the hit rate, because feeds and profiles change with every interaction then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import httpx
import msgspec

from bench import history
from bench.cases.http import read
from bench.latency import summary_ms
from bench.load import EventLoad
from bench.rig import BenchError, Rig
from infra.local.port import HOST, free_ports
from infra.postgres.pool import connect
from infra.redis.stores import feed_store

_BODIES = 2_000
_CHECKS = 30
_CHECK_INTERVAL_S = 1.1
"""Time between two health checks; a result is kept for a second."""
READING_S = 1.0
"""Time after which a reader who has acted asks again, in seconds."""
READERS = 16
_VISITS_PER_S = 8
"""Visits for each second of the measurement: half of what the readers can do."""
_ARCHIVED_WITHIN_S = 300.0
_RECOMMENDATIONS = "/api/v1/recommendations"


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, Any]:
    """Return latencies by operation, and the share of recommendations that are cached among users who act."""
    await history.ensure_folded(rig, load)
    users = list(dict.fromkeys(event.user_id for event in load.history()))
    warm_users, cold_users = users[::2], users[1::2]
    (port,) = free_ports(1)
    figures: dict[str, Any] = {}
    check = read.answers(port, "/health/live")
    async with (
        rig.worker("archive"),
        rig.process("api", "-m", "cli.main", "api", check=check, API_PORT=str(port)),
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30.0) as client,
    ):
        await _archive(rig, cold_users)
        await rig.redis.unlink(*(feed_store.KEY + user_id for user_id in cold_users))
        await _check_cached(client, {warm_users[0]: True, cold_users[0]: False})
        figures["health"] = await _health(rig, client)
        for name, names in (("cached", warm_users), ("cold", cold_users)):
            paths = [f"{_RECOMMENDATIONS}?user_id={user_id}" for user_id in names]
            figures[name] = await read.ask(rig, port, paths, seconds=seconds, connections=1)
        figures["interact"] = await read.ask(
            rig, port, ["/api/v1/interact"], seconds=seconds, bodies=_bodies(load), connections=1, status=200
        )
        async with rig.worker("feed"), rig.worker("log"):
            await rig.wait_until_idle("let the worker start", "feed")
            visits = round(_VISITS_PER_S * seconds)
            figures["hit_rate"] = await _hit_rate(rig, client, load, warm_users, visits=visits)
    rig.folded_size = None
    return figures


def _bodies(load: EventLoad) -> list[str]:
    """Return interactions as the document has them."""
    kinds = ("view", "like", "share", "save")
    events = (event for event in load.history() if event.action in kinds)
    return [
        msgspec.json.encode(
            {
                "user_id": event.user_id,
                "content_id": event.item_id,
                "interaction_type": event.action,
                "duration_seconds": 45,
                "metadata": {"source": "homepage"},
            }
        ).decode()
        for event in islice(events, _BODIES)
    ]


async def _archive(rig: Rig, user_ids: Sequence[str]) -> None:
    """Wait until the archive has the recommendations of users."""
    connection = await connect(rig.addresses.database_url)
    deadline_s = time.monotonic() + _ARCHIVED_WITHIN_S
    try:
        while True:
            count = await connection.fetchval(
                "SELECT count(DISTINCT user_id) FROM feed_history WHERE user_id = ANY($1)", list(user_ids)
            )
            rig.on_progress("archive recommendations", count, len(user_ids))
            if count == len(user_ids):
                return
            if time.monotonic() > deadline_s:
                raise BenchError(f"the archive has the recommendations of {count} of {len(user_ids)} users")
            await asyncio.sleep(1.0)
    finally:
        await connection.close()


async def _check_cached(client: httpx.AsyncClient, cached_by_user: dict[str, bool]) -> None:
    """Raise `BenchError` unless users have recommendations of their own, cached or not as expected.

    Args:
        client: A client of the API.
        cached_by_user: Whether the recommendations of each user are cached.
    """
    everyone = await _recommendations(client, "nobody")
    for user_id, is_cached in cached_by_user.items():
        answer = await _recommendations(client, user_id)
        if answer["cached"] is not is_cached or answer["timestamp"] == everyone["timestamp"]:
            raise BenchError(f"{user_id} has recommendations of {answer['timestamp']}, cached: {answer['cached']}")


async def _recommendations(client: httpx.AsyncClient, user_id: str) -> Any:
    return (await client.get(_RECOMMENDATIONS, params={"user_id": user_id})).raise_for_status().json()


async def _health(rig: Rig, client: httpx.AsyncClient) -> dict[str, float]:
    """Return latencies of health checks that ask the servers, since no result is kept any more."""
    latencies_ms = []
    for number in range(_CHECKS):
        rig.on_progress("check the health", number, _CHECKS)
        began_s = time.perf_counter()
        (await client.get("/api/v1/health")).raise_for_status()
        latencies_ms.append((time.perf_counter() - began_s) * 1_000)
        await asyncio.sleep(_CHECK_INTERVAL_S)
    return summary_ms(latencies_ms)


async def _hit_rate(
    rig: Rig, client: httpx.AsyncClient, load: EventLoad, user_ids: Sequence[str], *, visits: int
) -> float:
    """Return the share of recommendations that are cached, of users who act and ask again a moment later.

    Args:
        rig: The rig.
        client: A client of the API.
        load: Its items are acted on.
        user_ids: The users, who take turns.
        visits: Number of visits.
    """
    turns = iter(list(islice(zip(cycle(user_ids), cycle(load.items)), visits)))
    hits: list[bool] = []

    async def visit() -> None:
        for user_id, item in turns:
            body = {"user_id": user_id, "content_id": item.item_id, "interaction_type": "view"}
            (await client.post("/api/v1/interact", json=body)).raise_for_status()
            await asyncio.sleep(READING_S)
            hits.append((await _recommendations(client, user_id))["cached"])
            rig.on_progress("visit", len(hits), visits)

    await asyncio.gather(*(visit() for _ in range(READERS)))
    return round(sum(hits) / len(hits), 3)
