"""`millrace rebuild`: what Redis and PostgreSQL hold, made again from the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

import typer
from redis.asyncio import Redis
from rich.console import Console

from cli.run import run
from infra import settings
from infra.address import Addresses, resolve_addresses
from infra.error import OperatorError
from infra.kafka.provision import provision
from infra.postgres import pool as database
from infra.redis import heartbeat
from infra.redis.connection import StoreError, connect
from infra.redis.projection import (
    DATABASE_ROLES,
    REDIS_ROLES,
    PostgresProjection,
    Projection,
    RedisProjection,
    partition_name,
)
from infra.settings import Settings
from topics import Topic

Store = Literal["all", "redis", "database"]
_POLL_S = 1.0


def rebuild(
    store: Annotated[Store, typer.Option(help="What to rebuild.")] = "all",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.")] = 600.0,
) -> None:
    """Fill Redis and PostgreSQL again from Kafka's topics: feeds, items, profiles, devices, notifications, the archive.

    Tables that are missing are created. The roles that write to the stores do the work while they go on: they read
    their topics again from the beginning, as far as those are kept. Nothing newer is undone. A store that was emptied
    is noticed within a second without this command.

    Ends with exit code 1 when it is not done in time.

    Examples:

    millrace rebuild

    millrace rebuild --store redis --no-wait
    """
    configured = resolve_addresses(settings.read())
    console = Console(highlight=False)
    try:
        remaining = run(_rebuild(configured, store, timeout_s if wait else 0.0, console))
    except StoreError as error:
        raise OperatorError(f"Nothing was rebuilt: {error}", "Start the server, then try again.") from error
    if not wait:
        console.print("The roles that run rebuild it from now on; the others once they are started.")
    elif remaining:
        description = ", ".join(f"{role} ({count} partitions)" for role, count in sorted(remaining.items()))
        console.print(f"[red]Not done after {timeout_s:g} s.[/] Still to write: {description}.")
        raise typer.Exit(1)
    else:
        console.print("[green]Done.[/]")


async def _rebuild(configured: Settings, store: Store, timeout_s: float, console: Console) -> dict[str, int]:
    """Take the notes back and wait; return what is left, as partitions by the role that writes them."""
    await provision(Addresses.of(configured))
    redis = connect(configured.redis_url)
    pool = await database.connect(configured.database_url, ready=0)
    stores: list[tuple[Projection, Mapping[Topic, str]]] = []
    if store in ("all", "redis"):
        stores.append((RedisProjection(redis), REDIS_ROLES))
    if store in ("all", "database"):
        stores.append((PostgresProjection(pool), DATABASE_ROLES))
    try:
        for projection, _ in stores:
            await projection.forget()
        await _name_absent(redis, {role for _, roles in stores for role in roles.values()}, console)
        return await _wait_until_written(stores, timeout_s, console)
    finally:
        pool.terminate()
        await redis.aclose()


async def _name_absent(redis: Redis, roles: set[str], console: Console) -> None:
    """Say which of some roles do not run."""
    running = {sign["role"] for sign in await heartbeat.heartbeats(redis)}
    for role in sorted(roles - running):
        console.print(f"[yellow]No {role} role runs:[/] what it writes is rebuilt once one does.")


async def _wait_until_written(
    stores: list[tuple[Projection, Mapping[Topic, str]]], timeout_s: float, console: Console
) -> dict[str, int]:
    """Wait until all is written, or for so long, and return what is left by role."""
    names = [(projection, _names(roles)) for projection, roles in stores]
    total = sum(len(roles) for _, roles in names)
    loop = asyncio.get_running_loop()
    until_s, last_count = loop.time() + timeout_s, -1
    while True:
        remaining: dict[str, int] = {}
        for projection, roles in names:
            for name in await projection.missing(list(roles)):
                remaining[roles[name]] = remaining.get(roles[name], 0) + 1
        count = total - sum(remaining.values())
        if count != last_count:
            last_count = count
            console.print(f"{count} of {total} partitions are written.")
        if not remaining or loop.time() > until_s:
            return remaining
        await asyncio.sleep(_POLL_S)


def _names(roles: Mapping[Topic, str]) -> dict[str, str]:
    """Return the role that writes each partition."""
    return {partition_name(topic, number): role for topic, role in roles.items() for number in range(topic.partitions)}
