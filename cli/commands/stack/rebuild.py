"""`millrace rebuild`: rebuilding the read models in Redis and PostgreSQL from the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

import typer
from redis.asyncio import Redis
from rich.console import Console

from cli.run import run
from infra.address import Addresses, resolve_addresses
from infra.error import OperatorError
from infra.kafka.admin.provision import provision
from infra.postgres.pool import open_pool
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
from infra.settings import Settings, read_settings
from topics import Topic

Store = Literal["all", "redis", "database"]
_POLL_S = 1.0


def rebuild(
    store: Annotated[Store, typer.Option(help="The store to rebuild.")] = "all",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the rebuild is complete.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Longest wait, in seconds.")] = 600.0,
) -> None:
    """Rebuild Redis and PostgreSQL from the topics: feeds, items, profiles, devices, notifications, archive.

    Missing tables are created. The running roles do the rebuild beside their normal work: they read their topics again
    from the beginning, as far as the topics are retained. Newer data is not overwritten. An emptied store is detected
    within a second even without this command.

    Ends with exit code 1 if the rebuild is not complete in time.

    Examples:

    millrace rebuild

    millrace rebuild --store redis --no-wait
    """
    settings = resolve_addresses(read_settings())
    console = Console(highlight=False)
    try:
        remaining = run(_rebuild(settings, store, timeout_s if wait else 0.0, console))
    except StoreError as error:
        raise OperatorError(f"Nothing was rebuilt: {error}", "Start the server, then try again.") from error
    if not wait:
        console.print(
            "The running roles have started the rebuild; the others will do their share once they are started."
        )
    elif remaining:
        description = ", ".join(f"{role} ({count} partitions)" for role, count in sorted(remaining.items()))
        console.print(f"[red]Not done after {timeout_s:g} s.[/] Still to write: {description}.")
        raise typer.Exit(1)
    else:
        console.print("[green]Done.[/]")


async def _rebuild(settings: Settings, store: Store, timeout_s: float, console: Console) -> dict[str, int]:
    """Reset the projections and wait; return the number of partitions not yet written, by role."""
    await provision(Addresses.from_settings(settings))
    redis = connect(settings.redis_url)
    pool = await open_pool(settings.database_url, ready=0)
    stores: list[tuple[Projection, Mapping[Topic, str]]] = []
    if store in ("all", "redis"):
        stores.append((RedisProjection(redis), REDIS_ROLES))
    if store in ("all", "database"):
        stores.append((PostgresProjection(pool), DATABASE_ROLES))
    try:
        for projection, _ in stores:
            await projection.forget()
        await _print_absent_roles(redis, {role for _, roles in stores for role in roles.values()}, console)
        return await _wait_until_written(stores, timeout_s, console)
    finally:
        pool.terminate()
        await redis.aclose()


async def _print_absent_roles(redis: Redis, roles: set[str], console: Console) -> None:
    """Print which of some roles do not run."""
    running = {beat["role"] for beat in await heartbeat.heartbeats(redis)}
    for role in sorted(roles - running):
        console.print(f"[yellow]No {role} role is running:[/] its data is rebuilt once one is started.")


async def _wait_until_written(
    stores: list[tuple[Projection, Mapping[Topic, str]]], timeout_s: float, console: Console
) -> dict[str, int]:
    """Wait until all partitions are written, or until the timeout; return the number of missing ones by role."""
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
            console.print(f"{count} of {total} partitions written.")
        if not remaining or loop.time() > until_s:
            return remaining
        await asyncio.sleep(_POLL_S)


def _names(roles: Mapping[Topic, str]) -> dict[str, str]:
    """Return the role that writes each partition, by partition name."""
    return {partition_name(topic, number): role for topic, role in roles.items() for number in range(topic.partitions)}
