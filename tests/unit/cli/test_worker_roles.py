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
        monkeypatch.setattr(worker, name, lambda *_, **__: None)
    worker.worker(roles)
    assert told == yields


@pytest.mark.parametrize("roles", [[ends, stops], [stops, ends, stops]])
async def test_when_a_role_ends_the_others_stop(roles: list[Any]) -> None:
    async with asyncio.timeout(5):
        await worker._run_all(roles, Settings(), asyncio.Event())


async def test_what_a_role_failed_with_is_raised_once_the_others_have_stopped() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await worker._run_all([stops, fails], Settings(), asyncio.Event())


async def test_a_role_that_does_not_stop_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_PATIENCE_S", 0.01)
    async with asyncio.timeout(5):
        await worker._run_all([ends, hangs], Settings(), asyncio.Event())
