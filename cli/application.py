"""The whole application on this machine: servers, what they must hold, and the roles as child processes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from cli.address import api_url
from infra.address import Addresses
from infra.fakes import CLAUDE, simulated
from infra.kafka.provision import provision
from infra.llm.key import has_key
from infra.local import Child, Command, LocalStack, OnStep, Ports, Step
from infra.local.port import require_free
from infra.settings import Settings, to_env

ROLES = {
    "worker feed": ("worker", "--roles", "feed"),
    "worker trainer,archive,log": ("worker", "--roles", "trainer,archive,log"),
    "worker fetch": ("worker", "--roles", "fetch"),
    "worker push": ("worker", "--roles", "push"),
    "worker shop": ("worker", "--roles", "shop"),
    "api": ("api",),
}
"""Each child process and its command."""
ASKING = {"worker score": ("worker", "--roles", "score")}
"""Those that ask a language model: nothing for them to do without a key."""
COLLECTING = {"worker collect": ("worker", "--roles", "collect")}
"""That which collects from the external API: nothing for it to do without a token."""
_START_WITHIN_S = 60.0
_ASK_S = 2.0


@asynccontextmanager
async def servers(settings: Settings, *, on_step: OnStep) -> AsyncIterator[Settings]:
    """Run provisioned servers; yields the settings with their addresses."""

    async def provisioned(addresses: Addresses) -> None:
        await provision(addresses, on_done=lambda name, what: on_step(Step(name, "ready", what)))

    stack = LocalStack(
        settings.home,
        settings=settings,
        ports=Ports.of(settings),
        on_step=on_step,
        on_return=provisioned,
    )
    async with stack as addresses:
        await provisioned(addresses)
        yield addresses.into(settings)


@asynccontextmanager
async def application(settings: Settings, *, on_step: OnStep) -> AsyncIterator[Settings]:
    """Run provisioned servers and all roles; yields the settings with their addresses once the API answers.

    Raises:
        OperatorError: something stands in the way that only a person can move.
    """
    require_free(settings.api_port, name="the API", port_setting="API_PORT")
    async with servers(settings, on_step=on_step) as located:
        asks = has_key(settings) and CLAUDE not in simulated(settings)  # what a double says of a feed is worth nothing
        roles = ROLES | (ASKING if asks else {}) | (COLLECTING if settings.flic_token else {})
        children = [_child(name, arguments, located, on_step) for name, arguments in roles.items()]
        try:
            for child in children:  # one after the other: together they would only slow each other down
                await child.start(within_s=_START_WITHIN_S)
            yield located
        finally:
            for child in reversed(children):
                await child.stop()


def _child(name: str, arguments: Sequence[str], settings: Settings, on_step: OnStep) -> Child:
    """Return a role's process; it is given these settings, addresses and all."""
    is_api = name == "api"

    def command() -> Command:
        argv = [sys.executable, "-m", "cli.main", *arguments]
        return Command(argv=argv, env=to_env(settings), watched=not is_api)

    async def check_api() -> None:
        async with httpx.AsyncClient(timeout=_ASK_S) as client:
            (await client.get(f"{api_url(settings)}/health/live")).raise_for_status()

    return Child(
        name,
        command,
        check_api if is_api else None,
        home=settings.home.resolve(),
        on_step=on_step,
        watchdog_timeout_s=settings.watchdog_timeout_s,
    )
