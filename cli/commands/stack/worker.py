"""`millrace worker`: running pipeline roles in one process."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Any

import typer

from cli.log import set_up
from cli.run import on_one_core, until_stopped
from infra import process_priority
from infra.address import resolve_addresses
from infra.error import OperatorError
from infra.redis import heartbeat
from infra.redis.connection import StoreError, connect
from infra.settings import Settings, comma_separated, read_settings
from infra.watchdog import OPTION

ROLES = {
    "feed": "streams.roles.feed.feed_role:run",
    "links": "streams.roles.links.links_role:run",
    "encoder": "streams.roles.encoder.encoder_role:run",
    "trainer": "streams.roles.trainer.trainer_role:run",
    "archive": "streams.roles.archive.archive_role:run",
    "score": "streams.roles.score.score_role:run",
    "fetch": "streams.roles.fetch.fetch_role:run",
    "collect": "streams.roles.collect.collect_role:run",
    "log": "streams.roles.log.log_role:run",
    "outcomes": "streams.roles.outcomes.outcomes_role:run",
    "push": "streams.roles.push.push_role:run",
    "shop": "streams.roles.shop.shop_role:run",
}
"""The `async def run(settings, stop)` of each role, imported on demand, since some are heavy."""

_LATENCY_CRITICAL = frozenset(("feed", "push"))
"""Latency-critical roles: a process without any of them lowers its priority."""
_NICENESS = 10
_STOP_TIMEOUT_S = 20.0
"""Longest time for a role to stop, in seconds."""
_LOG = logging.getLogger(__name__)


def worker(
    roles: Annotated[str, typer.Option(help=f"Roles to run, separated by commas: {', '.join(ROLES)}.")] = "feed",
    watchdog_fd: Annotated[int | None, typer.Option(OPTION, hidden=True)] = None,
) -> None:
    """Run pipeline roles until Ctrl-C.

    Example: millrace worker --roles trainer,archive
    """
    names = comma_separated(roles)
    unknown = [name for name in names if name not in ROLES]
    if unknown or not names:
        raise OperatorError(f"There is no role {', '.join(unknown) or 'to run'}.", f"The roles are {', '.join(ROLES)}.")
    settings = resolve_addresses(read_settings())
    set_up(settings)
    runs = {name: _load(name) for name in names}
    on_one_core()
    if _LATENCY_CRITICAL.isdisjoint(names):
        process_priority.lower(_NICENESS)

    async def main(stop: asyncio.Event) -> None:
        await _run_all(runs, settings, stop)
        await _remove_heartbeats(settings, names)

    until_stopped(main, watchdog_fd=watchdog_fd)


class RoleEndedError(RuntimeError):
    """A role ended unexpectedly or had to be cancelled."""


async def _run_all(
    runs: Mapping[str, Any], settings: Settings, stop: asyncio.Event, *, stop_timeout_s: float = _STOP_TIMEOUT_S
) -> None:
    """Run all roles; if one ends or fails, stop the others too, so that the supervisor restarts the process.

    A role that does not stop in time is cancelled, which has the effect of a crash: unacknowledged records are
    delivered again.

    Args:
        runs: The functions to run, by role.
        settings: The settings of all roles.
        stop: Set to stop the process, and when a role ends.
        stop_timeout_s: Time after which a role that has not stopped is cancelled, in seconds.

    Raises:
        RoleEndedError: a role ended by itself, or was cancelled.
        Exception: the failure of a role. Only an orderly stop ends the process with status 0.
    """
    roles = [asyncio.ensure_future(_run(name, run, settings, stop)) for name, run in runs.items()]
    await stop.wait()
    _, late = await asyncio.wait(roles, timeout=stop_timeout_s)
    if late:
        _LOG.warning(
            "%d of %d roles did not stop within %.0f s and are cancelled", len(late), len(roles), stop_timeout_s
        )
        for role in late:
            role.cancel()
        _, stuck_roles = await asyncio.wait(late, timeout=stop_timeout_s / 4)
        if stuck_roles:
            os._exit(1)  # an orderly exit would wait for the stuck roles
    for role in roles:
        if not role.cancelled():
            role.result()
    if late:
        raise RoleEndedError(f"{len(late)} of {len(roles)} roles were cut off")


async def _run(name: str, run: Any, settings: Settings, stop: asyncio.Event) -> None:
    """Run one role until `stop` is set; the role gets an event of its own, which it may also set itself."""
    own = asyncio.Event()
    forwarding = asyncio.ensure_future(_forward(stop, own))
    try:
        await run(settings, own)
        if not stop.is_set():
            raise RoleEndedError(f"the role {name} ended by itself")
    finally:
        stop.set()
        forwarding.cancel()


async def _forward(stop: asyncio.Event, own: asyncio.Event) -> None:
    await stop.wait()
    own.set()


async def _remove_heartbeats(settings: Settings, names: Sequence[str]) -> None:
    """Remove the roles' heartbeats after an orderly stop; without Redis the roles count as missing for some time."""
    redis = connect(settings.redis_url)
    with suppress(StoreError):
        await heartbeat.remove_heartbeat(redis, names)
    await redis.aclose()


def _load(name: str) -> Any:
    module, _, function = ROLES[name].partition(":")
    return getattr(import_module(module), function)
