"""Supervision of concurrent coroutines in a role: when one of them fails, the role ends with its error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_CLEANUP_S = 10.0


async def cancel(tasks: Collection[asyncio.Future[None]], *, cleanup_s: float = _CLEANUP_S) -> None:
    """Cancel tasks until all have ended.

    A cancellation can be lost: `asyncio.wait_for` of Python 3.11 returns normally when its own future completes in the
    same turn of the loop (https://github.com/python/cpython/issues/86296). So it is repeated.

    Args:
        tasks: The tasks.
        cleanup_s: Time after which tasks that still run are cancelled again, in seconds.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=cleanup_s)


@asynccontextmanager
async def run_alongside(stop: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the body, and cancel them after it.

    If one of them ends earlier, `stop` is set, which the body must observe; its error is raised after the body.
    """
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    for task in tasks:
        task.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        await cancel(tasks)
        for error in errors:
            if error is not None:
                raise error


async def run_until(stop: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until `stop` is set, then cancel them; the error of a failed one is raised."""
    async with run_alongside(stop, *coroutines):
        await stop.wait()
