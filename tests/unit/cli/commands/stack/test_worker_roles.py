"""Roles that share a process end together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from cli import application
from cli.commands.stack import worker
from infra.settings import Settings


async def ends(_settings: Settings, _stop: asyncio.Event) -> None:
    """End at once."""


async def fails(_settings: Settings, _stop: asyncio.Event) -> None:
    raise RuntimeError("broken")


async def stops(_settings: Settings, stop: asyncio.Event) -> None:
    await stop.wait()


async def ends_by_its_own_event(_settings: Settings, stop: asyncio.Event) -> None:
    """End as a role does beside which something ended."""
    stop.set()


async def ends_badly(_settings: Settings, stop: asyncio.Event) -> None:
    await stop.wait()
    raise RuntimeError("broken at last")


async def hangs(_settings: Settings, _stop: asyncio.Event) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("roles", "yields"), [("fetch", [10]), ("archive,score", [10]), ("feed", []), ("fetch,feed", [])]
)
def test_roles_that_nobody_waits_for_leave_the_processor_to_the_others(
    roles: str, yields: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told_roles: list[int] = []
    monkeypatch.setattr("infra.process_priority.lower", told_roles.append)
    for name in ("set_up", "resolve_addresses", "on_one_core", "until_stopped", "_load"):
        monkeypatch.setattr(worker, name, lambda *_, **__: None)
    worker.worker(roles)
    assert told_roles == yields


def test_the_local_stack_runs_every_role_in_one_process() -> None:
    processes = application.PROCESSES | application.LLM_PROCESSES | application.COLLECT_PROCESSES
    processes |= application.ENCODER_PROCESSES
    roles = [role for command, *flags in processes.values() if command == "worker" for role in flags[-1].split(",")]
    assert sorted(roles) == sorted(worker.ROLES)


def test_roles_that_learn_nothing_do_without_the_compiler() -> None:
    names = sorted(set(worker.ROLES) - {"links", "trainer"})
    script = f"""
import sys
sys.modules["numba"] = None
from cli.commands.stack.worker import _load
for name in {names}:
    _load(name)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


async def run(*roles: Any, stop: asyncio.Event | None = None, stop_timeout_s: float = 20.0) -> None:
    runs, stop = {role.__name__: role for role in roles}, stop or asyncio.Event()
    async with asyncio.timeout(5):
        await worker._run_all(runs, Settings(), stop, stop_timeout_s=stop_timeout_s)


@pytest.mark.parametrize("roles", [[ends, stops], [stops, ends], [ends_by_its_own_event, stops]])
async def test_when_a_role_ends_by_itself_the_others_stop_and_it_is_a_failure(roles: list[Any]) -> None:
    with pytest.raises(worker.RoleEndedError, match=r"the role ends.* by itself"):
        await run(*roles)


@pytest.mark.parametrize("roles", [[stops, fails], [fails, hangs], [hangs, fails, ends]])
async def test_what_a_role_failed_with_is_raised_once_the_others_have_stopped(
    roles: list[Any],
) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await run(*roles, stop_timeout_s=0.01)


async def test_what_a_role_failed_with_while_it_was_stopped_is_raised() -> None:
    with pytest.raises(RuntimeError, match="broken at last"):
        await run(ends_badly, stops, stop=asked())


async def test_roles_that_are_asked_to_stop_end_in_order() -> None:
    await run(stops, stop=asked())


@pytest.mark.parametrize("roles", [[stops, hangs], [hangs, stops]])
async def test_a_role_that_does_not_stop_when_asked_to_is_cut_off_which_is_a_failure(
    roles: list[Any],
) -> None:
    with pytest.raises(worker.RoleEndedError, match="1 of 2"):
        await run(*roles, stop=asked(), stop_timeout_s=0.01)


async def test_what_a_role_fails_with_while_it_is_cut_off_is_raised() -> None:
    async def fails_late(_settings: Settings, _stop: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("the app had crashed")

    with pytest.raises(RuntimeError, match="had crashed"):
        await run(stops, fails_late, stop=asked(), stop_timeout_s=0.05)


def asked() -> asyncio.Event:
    """Return the event of a process that was asked to stop."""
    stop = asyncio.Event()
    stop.set()
    return stop
