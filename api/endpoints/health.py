"""Saying which dependencies answer, how the pipeline is, and what that means for clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.context import ApiContext
from api.http.endpoint import Endpoint
from api.http.response import json_response
from api.security.guard import Guard
from infra.health_check import HealthCheck
from infra.pipeline_health import PipelineHealth
from infra.redis.connection import StoreError

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


class HealthReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """ok; degraded, when reads go on; or down."""

    status: Status
    rate_limits: Literal["off", "on", "blind"]
    """blind: requests cannot be counted now, and are all let through."""
    dependencies: dict[str, Dependency]
    pipeline: PipelineHealth | None = None
    """How the roles behind the API are; left out while Redis, which knows, does not answer."""


class LivenessReport(msgspec.Struct, frozen=True):
    """The process answers requests."""

    status: Literal["ok"] = "ok"


class HealthProber:
    """Asks every dependency, and for the pipeline, but not more often than an answer holds."""

    def __init__(self, context: ApiContext) -> None:
        self._probes = context.clients.probes
        self._read_pipeline = context.clients.pipeline
        self._lock = asyncio.Lock()
        self._asked_s = float("-inf")
        self._dependencies: dict[str, Dependency] = {}
        self._pipeline: PipelineHealth | None = None

    async def dependencies(self) -> dict[str, Dependency]:
        """Return how the dependencies are."""
        async with self._lock:
            if time.monotonic() - self._asked_s > _KEEP_S:
                asking = asyncio.ensure_future(self._ask_pipeline())
                answers = await asyncio.gather(*(_ask(probe) for probe in self._probes.values()))
                self._pipeline = await asking
                self._dependencies = dict(zip(self._probes, answers, strict=True))
                self._asked_s = time.monotonic()
        return self._dependencies

    async def pipeline(self) -> PipelineHealth | None:
        """Return how the pipeline is; None when nobody knows."""
        await self.dependencies()
        return self._pipeline

    async def _ask_pipeline(self) -> PipelineHealth | None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._read_pipeline()
        except (StoreError, TimeoutError):
            return None  # that Redis does not answer is said of it


class Health:
    """The endpoint that asks every dependency."""

    def __init__(self, context: ApiContext, guard: Guard) -> None:
        self._guard, self._prober = guard, HealthProber(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return their declarations."""
        return [
            Endpoint("GET", "/health", self.show, scope="public", answers={200: HealthReport, 503: HealthReport}),
            Endpoint("GET", "/health/live", self.show_alive, scope="public", answers={200: LivenessReport}),
        ]

    async def show(self, request: Request) -> Response:
        """Say whether feeds can be read, which servers answer, and how the pipeline is that renews them.

        200 while feeds can be read, be they old: the status `degraded` says that something is wrong, and the problems
        of the pipeline say what. 503 when they cannot be read: send this process no requests then; starting it again
        does not help.
        """
        dependencies = await self._prober.dependencies()
        pipeline = await self._prober.pipeline()
        status = overall({name: one.status == "ok" for name, one in dependencies.items()}, pipeline)
        report = HealthReport(
            status=status, rate_limits=self._guard.limits, dependencies=dependencies, pipeline=pipeline
        )
        return json_response(report, 503 if status == "down" else 200)

    async def show_alive(self, request: Request) -> Response:
        """Say that the process is alive, whatever the servers and the roles do.

        Start it again when it does not answer.
        """
        return json_response(LivenessReport())


def overall(answering: dict[str, bool], pipeline: PipelineHealth | None = None) -> Status:
    """Return the status of the whole by which dependencies answer, and by the pipeline where it is known."""
    if not answering.get(_ESSENTIAL, True):
        return "down"
    return "ok" if all(answering.values()) and (pipeline is None or pipeline.status == "ok") else "degraded"


async def _ask(probe: HealthCheck) -> Dependency:
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
