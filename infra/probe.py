"""Asking each server whether it answers. A probe returns when it does and raises when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import httpx
from confluent_kafka.admin import AdminClient
from redis.asyncio import Redis

Probe = Callable[[], Awaitable[None]]

TIMEOUT_S = 2.0


def kafka(bootstrap_servers: str) -> Probe:
    """Return a probe that asks the brokers for the cluster's metadata."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0, "socket.timeout.ms": 2_000})

    async def probe() -> None:
        await asyncio.to_thread(admin.list_topics, timeout=TIMEOUT_S)

    return probe


def registry(url: str) -> Probe:
    """Return a probe that lists the registry's schema types, which costs it no look-up."""

    async def probe() -> None:
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            (await client.get(f"{url.rstrip('/')}/schemas/types")).raise_for_status()

    return probe


def redis(client: Redis) -> Probe:
    """Return a probe that pings Redis."""

    async def probe() -> None:
        await client.execute_command("PING")  # type: ignore[no-untyped-call]

    return probe


def database(url: str) -> Probe:
    """Return a probe that connects to PostgreSQL and runs a query."""

    async def probe() -> None:
        connection = await asyncpg.connect(url, timeout=TIMEOUT_S)
        try:
            await connection.fetchval("SELECT 1")
        finally:
            await connection.close(timeout=TIMEOUT_S)

    return probe
