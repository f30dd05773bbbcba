"""Reads: GET /content with its items, compared with a bare endpoint, each alone on one server process.

Users are drawn uniformly, which is harder on caches than real traffic.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

import httpx
import msgspec

from bench import history
from bench.http_load import LoadTask
from bench.load import EventLoad
from bench.rig import BenchError, Rig
from infra.local.port import HOST, free_ports

CONNECTIONS = 32
WARM_UP_S = 2.0
_PATHS = 20_000


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return requests per second and latencies of both endpoints, and the hit rate of the feed cache."""
    await history.ensure_folded(rig, load)
    rng = random.Random(1)  # noqa: S311 - users to ask for, not a secret
    paths = [f"/content?user_id={load.user_id(rng.randrange(load.size.users))}" for _ in range(_PATHS)]
    (port,) = free_ports(1)
    feed = ("-m", "cli.main", "api")
    async with rig.process(
        "api", *feed, check=_whole_feed(port, paths[0], rig.settings.max_recommendations), API_PORT=str(port)
    ):
        figures = {"feed": await ask(rig, port, paths, seconds=seconds) | {"hit_rate": await _hit_rate(port)}}
    (port,) = free_ports(1)
    async with rig.process("bare endpoint", "-m", "bench.bare", str(port), check=answers(port)):
        figures["bare"] = await ask(rig, port, ["/"], seconds=seconds)
    return figures


async def ask(
    rig: Rig,
    port: int,
    paths: list[str],
    *,
    seconds: float,
    bodies: Sequence[str] = (),
    connections: int = CONNECTIONS,
    status: int | None = None,
) -> dict[str, float]:
    """Return requests per second and latencies of requests to some paths, in turn.

    Args:
        rig: The rig.
        port: The port of the server.
        paths: The paths.
        seconds: Duration of the measurement, in seconds.
        bodies: Events to post; without any the requests are GETs.
        connections: Number of connections, each of which waits for its answer before it asks again.
        status: The status of every answer; by default 202 where events are posted, and 200.
    """
    rig.on_progress(f"ask for {paths[0].partition('?')[0]} for {seconds:g} s", 0, 0)
    task = LoadTask(
        port=port,
        paths=paths,
        connections=connections,
        seconds=seconds,
        warm_up_s=WARM_UP_S,
        bodies=list(bodies),
        status=status or (202 if bodies else 200),
    )
    figures: dict[str, float] = await rig.run_json("bench.http_load", payload=msgspec.to_builtins(task))
    return figures


async def _hit_rate(port: int) -> float:
    """Return the share of look-ups of feeds that the process answered from memory, with those of the warm-up."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{HOST}:{port}/metrics")).raise_for_status().text
    lines = dict(line.split() for line in text.splitlines() if line.startswith("millrace_feed_cache_total"))
    hits, misses = (float(lines[f'millrace_feed_cache_total{{result="{result}"}}']) for result in ("hit", "miss"))
    return round(hits / (hits + misses), 3)


def answers(port: int, path: str = "/") -> Callable[[], Awaitable[None]]:
    """Return a check that a server answers a path."""

    async def check() -> None:
        async with httpx.AsyncClient() as client:
            (await client.get(f"http://{HOST}:{port}{path}")).raise_for_status()

    return check


def _whole_feed(port: int, path: str, length: int) -> Callable[[], Awaitable[None]]:
    async def check() -> None:
        async with httpx.AsyncClient() as client:
            items = (await client.get(f"http://{HOST}:{port}{path}")).raise_for_status().json()["items"]
        if len(items) != length or not all(entry["item"] for entry in items):
            raise BenchError(f"the feed has {len(items)} items, not {length}, or not all of them are in the catalogue")

    return check
