"""Roles that share a process end together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cli import worker
from infra.settings import Settings


async def ends(_settings: Settings, _stop: asyncio.Event) -> None:
    """End at once."""


async def fails(_settings: Settings, _stop: asyncio.Event) -> None:
    raise RuntimeError("broken")


async def stops(_settings: Settings, stop: asyncio.Event) -> None:
    await stop.wait()


async def hangs(_settings: Settings, _stop: asyncio.Event) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("roles", "yields"), [("fetch", [10]), ("archive,score", [10]), ("feed", []), ("fetch,feed", [])]
)
def test_roles_that_nobody_waits_for_leave_the_processor_to_the_others(
    roles: str, yields: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr("infra.priority.lower", told.append)
    for name in ("set_up", "located", "on_one_core", "until_stopped", "_load"):
        monkeypatch.setattr(worker, name, lambda *_: None)
    worker.worker(roles)
    assert told == yields


@pytest.mark.parametrize("roles", [[ends, stops], [stops, ends, stops]])
async def test_when_a_role_ends_by_itself_the_others_stop_and_it_is_a_failure(roles: list[Any]) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(worker.RoleEndedError, match="by itself"):
            await worker._run_all(roles, Settings(), asyncio.Event())


async def test_a_stop_that_was_asked_for_is_none() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, stop.set)
    async with asyncio.timeout(5):
        await worker._run_all([stops, stops], Settings(), stop)


@pytest.mark.parametrize("roles", [[stops, fails], [fails, hangs], [hangs, fails, ends]])
async def test_what_a_role_failed_with_is_raised_once_the_others_have_stopped(
    roles: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_PATIENCE_S", 0.01)
    with pytest.raises(RuntimeError, match="broken"):
        await worker._run_all(roles, Settings(), asyncio.Event())


@pytest.mark.parametrize("asked", [False, True])
async def test_a_role_that_does_not_stop_is_cut_off_which_is_a_failure(
    asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_PATIENCE_S", 0.01)
    stop = asyncio.Event()
    if asked:
        stop.set()
    async with asyncio.timeout(5):
        with pytest.raises(worker.RoleEndedError, match="1 of 2"):
            await worker._run_all([stops if asked else ends, hangs], Settings(), stop)


async def test_what_a_role_fails_with_while_it_is_cut_off_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_PATIENCE_S", 0.05)

    async def fails_late(_settings: Settings, _stop: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("the app had crashed")

    with pytest.raises(RuntimeError, match="had crashed"):
        await worker._run_all([ends, fails_late], Settings(), asyncio.Event())
