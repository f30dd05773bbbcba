"""Requests: single interactions, acknowledged by the broker, and what a health check costs its process.

One API process; no roles read what is published.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import psutil

from bench.cases.http import read
from bench.load import EventLoad
from bench.rig import Rig
from infra.local.port import HOST, free_ports

_BODIES = 5_000
_CHECKS = 30
_INTERVAL_S = 1.1
"""Time between two health checks; a result is kept for a second."""


async def measure(rig: Rig, load: EventLoad, *, seconds: float) -> dict[str, dict[str, float]]:
    """Return requests per second and latencies of `POST /interaction`, and time and memory of `GET /health`."""
    await rig.reset()
    bodies = [
        msgspec.json.encode({"user_id": event.user_id, "item_id": event.item_id, "action": event.action}).decode()
        for event, _ in zip(load.history(), range(_BODIES), strict=False)
        if event.action != "rate"
    ]
    (port,) = free_ports(1)
    check = read.answers(port, "/health/live")
    async with rig.process("api", "-m", "cli.main", "api", check=check, API_PORT=str(port)) as api:
        figures = {"interaction": await read.ask(rig, port, ["/interaction"], seconds=seconds, bodies=bodies)}
        assert api.pid is not None
        rig.on_progress(f"check the health {_CHECKS} times", 0, 0)
        figures["health"] = await _health(port, psutil.Process(api.pid))
    rig.folded_size = None
    return figures


async def _health(port: int, process: Any) -> dict[str, float]:
    """Return the processor time of a health check beyond that of an idle process, in ms, and its growth in memory."""
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}") as client:
        await _check(client, 3)
        idle_s = await _busy_s(process, asyncio.sleep(_CHECKS * _INTERVAL_S))
        before = process.memory_info().rss
        busy_s = await _busy_s(process, _check(client, _CHECKS))
        after = process.memory_info().rss
    return {
        "cpu_ms": round(1_000 * max(0.0, busy_s - idle_s) / _CHECKS, 2),
        "growth_kb": round((after - before) / _CHECKS / 1_024, 1),
    }


async def _check(client: httpx.AsyncClient, times: int) -> None:
    for _ in range(times):
        await client.get("/health")
        await asyncio.sleep(_INTERVAL_S)


async def _busy_s(process: Any, work: Any) -> float:
    before = process.cpu_times()
    await work
    after = process.cpu_times()
    return float(after.user + after.system - before.user - before.system)
