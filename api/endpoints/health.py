"""Health endpoints: the state of the dependencies and of the pipeline."""

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
from infra.health.health_check import HealthCheck
from infra.health.pipeline_health import PipelineHealth
from infra.redis.connection import StoreError

_TIMEOUT_S = 2.5
_CACHE_TTL_S = 1.0
"""Seconds for which a result is cached, so that frequent checks do not load the servers."""
_ESSENTIAL = "redis"
"""The dependency without which no feed can be read; the others are not needed for reads."""

Status = Literal["ok", "degraded", "down"]


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The state of one server that the API depends on."""

    status: Literal["ok", "down"]
    latency_ms: float
    error: str | None = None


class HealthReport(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The overall health: ok, degraded (reads still work) or down."""

    status: Status
    rate_limits: Literal["off", "on", "blind"]
    """blind: requests cannot be counted at the moment and all pass."""
    dependencies: dict[str, Dependency]
    pipeline: PipelineHealth | None = None
    """The state of the roles behind the API; omitted while Redis, which holds it, is unavailable."""


class LivenessReport(msgspec.Struct, frozen=True):
    """The liveness of the process."""

    status: Literal["ok"] = "ok"


class ReadinessReport(msgspec.Struct, frozen=True):
    """Whether every server that the API depends on answers, and the names of those that do not."""

    status: Literal["ready", "unavailable"]
    unavailable: list[str]


class HealthProber:
    """Checks the dependencies and the pipeline, and caches the result."""

    def __init__(self, context: ApiContext) -> None:
        self._probes = context.clients.health_checks
        self._read_pipeline = context.clients.pipeline
        self._lock = asyncio.Lock()
        self._checked_s = float("-inf")
        self._dependencies: dict[str, Dependency] = {}
        self._pipeline: PipelineHealth | None = None

    async def dependencies(self) -> dict[str, Dependency]:
        """Return the state of the dependencies by name."""
        async with self._lock:
            if time.monotonic() - self._checked_s > _CACHE_TTL_S:
                pipeline_task = asyncio.ensure_future(self._check_pipeline())
                answers = await asyncio.gather(*(_check(probe) for probe in self._probes.values()))
                self._pipeline = await pipeline_task
                self._dependencies = dict(zip(self._probes, answers, strict=True))
                self._checked_s = time.monotonic()
        return self._dependencies

    async def pipeline(self) -> PipelineHealth | None:
        """Return the state of the pipeline; None if it is unknown."""
        await self.dependencies()
        return self._pipeline

    async def _check_pipeline(self) -> PipelineHealth | None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return await self._read_pipeline()
        except (StoreError, TimeoutError):
            return None  # the dependency Redis reports the outage


class HealthEndpoints:
    """The health endpoints."""

    def __init__(self, context: ApiContext, guard: Guard) -> None:
        self._guard, self._prober = guard, HealthProber(context)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the endpoint declarations."""
        return [
            Endpoint("GET", "/health", self.show, scope="public", answers={200: HealthReport, 503: HealthReport}),
            Endpoint(
                "GET",
                "/health/ready",
                self.show_ready,
                scope="public",
                answers={200: ReadinessReport, 503: ReadinessReport},
            ),
            Endpoint("GET", "/health/live", self.show_alive, scope="public", answers={200: LivenessReport}),
        ]

    async def show(self, request: Request) -> Response:
        """Report whether feeds can be read, which servers answer, and the state of the pipeline that updates the feeds.

        200 while feeds can be read, even if they are old: the status `degraded` reports a fault, and the problems of
        the pipeline describe it. 503 if feeds cannot be read: route no requests to this process then; a restart does
        not help.
        """
        dependencies = await self._prober.dependencies()
        pipeline = await self._prober.pipeline()
        status = overall({name: one.status == "ok" for name, one in dependencies.items()}, pipeline)
        report = HealthReport(
            status=status, rate_limits=self._guard.limits, dependencies=dependencies, pipeline=pipeline
        )
        return json_response(report, 503 if status == "down" else 200)

    async def show_ready(self, request: Request) -> Response:
        """Report whether all servers answer, the database among them: 503 if any does not.

        Feeds can be read as long as `/health` is 200: a client that only reads them does better to wait for that.
        """
        dependencies = await self._prober.dependencies()
        unavailable = [name for name, one in dependencies.items() if one.status == "down"]
        report = ReadinessReport("unavailable" if unavailable else "ready", unavailable)
        return json_response(report, 503 if unavailable else 200)

    async def show_alive(self, request: Request) -> Response:
        """Report that the process is alive, regardless of the servers and the roles.

        Restart the process if it does not answer.
        """
        return json_response(LivenessReport())


def overall(answering: dict[str, bool], pipeline: PipelineHealth | None = None) -> Status:
    """Return the overall status.

    Args:
        answering: Whether each dependency answers, by name.
        pipeline: The state of the pipeline, if it is known.
    """
    if not answering.get(_ESSENTIAL, True):
        return "down"
    return "ok" if all(answering.values()) and (pipeline is None or pipeline.status == "ok") else "degraded"


async def _check(probe: HealthCheck) -> Dependency:
    began_s = time.perf_counter()
    problem = None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await probe()
    except Exception as error:  # any exception of a client means that the server is down
        problem = type(error).__name__  # its text could hold an address or a password
    return Dependency(
        status="ok" if problem is None else "down",
        latency_ms=round(1e3 * (time.perf_counter() - began_s), 2),
        error=problem,
    )
