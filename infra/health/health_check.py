"""Health checks of the servers. A probe returns if its server answers and raises otherwise.

Probes run repeatedly, so each creates its client once and keeps it. Close a probe that is no longer needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

from infra.postgres.pool import LazyPool

HealthCheck = Callable[[], Awaitable[None]]

TIMEOUT_S = 2.0


async def _nothing() -> None:
    """Do nothing: the client belongs to the caller, or needs no closing."""


@dataclass(frozen=True, slots=True)
class ServerProbe:
    """A probe with its client."""

    ask: HealthCheck
    close: HealthCheck = _nothing

    async def __call__(self) -> None:
        """Probe the server once."""
        await self.ask()

    async def aclose(self) -> None:
        """Close the client."""
        await self.close()


def kafka(bootstrap_servers: str) -> ServerProbe:
    """Return a probe that requests the cluster's metadata from the brokers."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0, "socket.timeout.ms": 2_000})

    async def ask() -> None:
        await asyncio.to_thread(admin.list_topics, timeout=TIMEOUT_S)

    return ServerProbe(ask)


def registry(url: str) -> ServerProbe:
    """Return a probe that lists the registry's schema types, which needs no lookup in its storage."""
    client = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S)  # with its TLS context, 30 ms and 0.8 MB

    async def ask() -> None:
        (await client.get("/schemas/types")).raise_for_status()

    return ServerProbe(ask, client.aclose)


def redis(client: Redis) -> ServerProbe:
    """Return a probe that pings Redis; the caller keeps ownership of the client."""

    async def ask() -> None:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]

    return ServerProbe(ask)


def database(url: str) -> ServerProbe:
    """Return a probe that runs a trivial query in PostgreSQL."""
    connections = LazyPool(url, connections=1)

    async def ask() -> None:
        async with (await connections.pool()).acquire(timeout=TIMEOUT_S) as connection:
            await connection.fetchval("SELECT 1", timeout=TIMEOUT_S)

    return ServerProbe(ask, connections.close)
