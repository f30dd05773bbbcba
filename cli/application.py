"""The complete application on this machine: provisioned servers, and the roles as child processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from cli.address import api_url
from infra.address import Addresses
from infra.fakes import CLAUDE, fakes_in_use
from infra.kafka.admin.provision import provision
from infra.llm.key import has_key
from infra.local import Child, Command, LocalStack, OnStep, Ports, Step
from infra.local.port import require_free
from infra.settings import Settings, to_env

PROCESSES = {
    "worker feed": ("worker", "--roles", "feed"),
    "worker links": ("worker", "--roles", "links"),
    "worker trainer,archive,log,outcomes": ("worker", "--roles", "trainer,archive,log,outcomes"),
    "worker fetch": ("worker", "--roles", "fetch"),
    "worker push": ("worker", "--roles", "push"),
    "worker shop": ("worker", "--roles", "shop"),
    "api": ("api",),
}
"""The child processes and their commands."""
LLM_PROCESSES = {"worker score": ("worker", "--roles", "score")}
"""Child processes that query a language model; they need a key."""
COLLECT_PROCESSES = {"worker collect": ("worker", "--roles", "collect")}
"""Child processes that collect from the external API; they need a token."""
ENCODER_PROCESSES = {"worker encoder": ("worker", "--roles", "encoder")}
"""Child processes that learn a network; they need the extra train."""
_START_WITHIN_S = 60.0
_ASK_S = 2.0


@asynccontextmanager
async def servers(settings: Settings, *, on_step: OnStep) -> AsyncIterator[Settings]:
    """Run provisioned servers; yield the settings with their addresses.

    Args:
        settings: The settings.
        on_step: Called with each step of the start and the stop.
    """

    async def provisioned(addresses: Addresses) -> None:
        await provision(addresses, on_result=lambda name, what: on_step(Step(name, "ready", what)))

    stack = LocalStack(
        settings.millrace_home,
        settings=settings,
        ports=Ports.from_settings(settings),
        on_step=on_step,
        on_restart=provisioned,
    )
    async with stack as addresses:
        await provisioned(addresses)
        yield addresses.apply_to(settings)


@asynccontextmanager
async def application(settings: Settings, *, on_step: OnStep) -> AsyncIterator[Settings]:
    """Run provisioned servers and all roles; yield the settings with their addresses once the API answers.

    Args:
        settings: The settings.
        on_step: Called with each step of the start and the stop.

    Raises:
        OperatorError: the start failed for a reason that the operator has to fix.
    """
    require_free(settings.api_port, name="the API", port_setting="API_PORT")
    async with servers(settings, on_step=on_step) as resolved_settings:
        asks = has_key(settings) and CLAUDE not in fakes_in_use(settings)  # judgements of a fake model are worthless
        processes = PROCESSES | (LLM_PROCESSES if asks else {}) | (COLLECT_PROCESSES if settings.flic_token else {})
        processes |= {} if settings.encoder == "none" else ENCODER_PROCESSES
        children = [_child(name, arguments, resolved_settings, on_step) for name, arguments in processes.items()]
        try:
            for child in children:  # one after the other: a parallel start would only slow each of them down
                await child.start(within_s=_START_WITHIN_S)
            yield resolved_settings
        finally:
            for child in reversed(children):
                await child.stop()


def _child(name: str, arguments: Sequence[str], settings: Settings, on_step: OnStep) -> Child:
    """Return a role's child process, which gets these settings, including the addresses."""
    is_api = name == "api"

    def command() -> Command:
        argv = [sys.executable, "-m", "cli.main", *arguments]
        return Command(argv=argv, env=to_env(settings), has_watchdog=not is_api)

    async def check_api() -> None:
        async with httpx.AsyncClient(timeout=_ASK_S) as client:
            (await client.get(f"{api_url(settings)}/health/live")).raise_for_status()

    return Child(
        name,
        command,
        check_api if is_api else None,
        home=settings.millrace_home.resolve(),
        on_step=on_step,
        watchdog_timeout_s=settings.watchdog_timeout_s,
    )
