"""`millrace up`: the complete stack on this machine."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import fields
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from cli.address import api_url
from cli.run import until_stopped
from infra.address import FILE, Addresses
from infra.settings import Settings, masked, read_settings


def up(
    servers_only: Annotated[
        bool, typer.Option("--servers-only", help="Run only the servers, with topics, schemas and tables; no roles.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the addresses, without passwords, as one line of JSON.")
    ] = False,
) -> None:
    """Run the complete stack on this machine until Ctrl-C: Kafka, schema registry, Redis, PostgreSQL, workers, API.

    Data stays in MILLRACE_HOME (.millrace), and the next `up` continues with it. A server whose address is configured
    is used instead of starting one. The addresses, including passwords, are in MILLRACE_HOME/addresses.json, which only
    its owner can read.

    Examples:

    millrace up

    KAFKA_PORT=19092 API_PORT=8080 millrace up

    REDIS_URL=redis://127.0.0.1:6379/0 millrace up --servers-only
    """
    # Imported here: a machine that runs only roles does not need the packages of the local stack.
    from cli.application import application, servers
    from cli.progress import Progress

    settings = read_settings()
    with Progress(Console(stderr=True, highlight=False)) as progress:
        stack = servers if servers_only else application
        until_stopped(
            lambda stop: _run(stack(settings, on_step=progress), stop, with_api=not servers_only, as_json=as_json)
        )


async def _run(
    stack: AbstractAsyncContextManager[Settings], stop: asyncio.Event, *, with_api: bool, as_json: bool
) -> None:
    """Start, print the addresses, wait, and stop. A stop signal during the start cancels it."""
    starting = asyncio.ensure_future(stack.__aenter__())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
    try:
        settings = await starting
    except asyncio.CancelledError:
        return
    finally:
        stopping.cancel()
    try:
        _show(settings, with_api=with_api, as_json=as_json)
        await stop.wait()
    finally:
        await stack.__aexit__(None, None, None)


def _show(settings: Settings, *, with_api: bool, as_json: bool) -> None:
    # The output must not contain passwords: those are in MILLRACE_HOME, readable by its owner only.
    addresses = {spec.name: masked(getattr(settings, spec.name)) for spec in fields(Addresses)}
    addresses["addresses"] = str(settings.millrace_home.resolve() / FILE)
    if with_api:
        addresses["api_url"] = api_url(settings)
    if as_json:
        print(msgspec.json.encode(addresses).decode(), flush=True)
        return
    table = Table("setting", Column("address", overflow="fold"))
    for name, url in addresses.items():
        table.add_row(name.upper(), url)
    Console(highlight=False).print(table)
