"""Saying which dependencies answer, and what that means for clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.answer import answer
from api.context import Context
from api.endpoint import Endpoint
from api.guard import Guard
from infra.probe import Probe

_TIMEOUT_S = 2.5
_KEEP_S = 1.0
"""How long an answer holds, so that asking often does not load the servers."""
_ESSENTIAL = "redis"
"""Without it no feed can be read; without the others reads go on."""

Status = Literal["ok", "degraded", "down"]


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Whether a server that the API needs answers."""

    status: Literal["ok", "down"]
    latency_ms: float
    error: str | None = None


class Wellbeing(msgspec.Struct, frozen=True):
    """ok; degraded, when reads go on; or down."""

    status: Status
    rate_limits: Literal["off", "on", "blind"]
    """blind: requests cannot be counted now, and are all let through."""
    dependencies: dict[str, Dependency]


class Prober:
    """Asks every dependency, but not more often than an answer holds."""

    def __init__(self, context: Context) -> None:
        self._probes = context.clients.probes
        self._lock = asyncio.Lock()
        self._asked_s = float("-inf")
        self._found: dict[str, Dependency] = {}

    async def found(self) -> dict[str, Dependency]:
        """Return how the dependencies are."""
        async with self._lock:
            if time.monotonic() - self._asked_s > _KEEP_S:
                answers = await asyncio.gather(*(_ask(probe) for probe in self._probes.values()))
                self._found = dict(zip(self._probes, answers, strict=True))
                self._asked_s = time.monotonic()
        return self._found


class Health:
    """The endpoint that asks every dependency."""

    def __init__(self, context: Context, guard: Guard) -> None:
        self._guard, self._prober = guard, Prober(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [Endpoint("GET", "/health", self.show, scope="public", answers={200: Wellbeing, 503: Wellbeing})]

    async def show(self, request: Request) -> Response:
        """Answer with 200 while feeds can be read, with 503 when they cannot, and say which servers answer."""
        found = await self._prober.found()
        status = overall({name: one.status == "ok" for name, one in found.items()})
        return answer(Wellbeing(status, self._guard.limits, found), 503 if status == "down" else 200)


def overall(answering: dict[str, bool]) -> Status:
    """Return the status of the whole by which dependencies answer."""
    if not answering.get(_ESSENTIAL, True):
        return "down"
    return "ok" if all(answering.values()) else "degraded"


async def _ask(probe: Probe) -> Dependency:
    began_s = time.perf_counter()
    problem = None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await probe()
    except Exception as error:  # whatever a client raises, it means the same here
        problem = type(error).__name__  # its text could hold an address or a password
    return Dependency(
        status="ok" if problem is None else "down",
        latency_ms=round(1e3 * (time.perf_counter() - began_s), 2),
        error=problem,
    )
