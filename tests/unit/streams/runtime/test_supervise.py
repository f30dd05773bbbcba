"""What a role does beside its work ends with it, and ends it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from streams.runtime.supervise import cancel, run_alongside, run_until


async def forever(end_log: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        end_log.append(name)


async def fail() -> None:
    await asyncio.sleep(0)
    raise LookupError("gone")


async def test_work_that_waits_for_ever_ends_when_it_is_to_stop() -> None:
    stop, end_log = asyncio.Event(), list[str]()
    work = asyncio.ensure_future(run_until(stop, forever(end_log, "first"), forever(end_log, "second")))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(work, 5)
    assert sorted(end_log) == ["first", "second"]


async def test_what_one_fails_with_ends_the_others_and_is_raised() -> None:
    stop, end_log = asyncio.Event(), list[str]()
    with pytest.raises(LookupError, match="gone"):
        await asyncio.wait_for(run_until(stop, forever(end_log, "other"), fail()), 5)
    assert end_log == ["other"]


async def test_the_body_hears_that_what_is_beside_it_has_failed() -> None:
    stop = asyncio.Event()
    with pytest.raises(LookupError, match="gone"):
        async with run_alongside(stop, fail()):
            await asyncio.wait_for(stop.wait(), 5)
    assert stop.is_set()


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    end_log = list[str]()

    async def lose_one() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await forever(end_log, "ended")

    task = asyncio.ensure_future(lose_one())
    await asyncio.sleep(0)
    await asyncio.wait_for(cancel([task], cleanup_s=0.01), 5)
    assert end_log == ["ended"]
