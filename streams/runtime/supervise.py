"""Supervision of concurrent coroutines in a role: when one of them fails, the role ends with its error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


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
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for error in errors:
            if error is not None:
                raise error


async def run_until(stop: asyncio.Event, *coroutines: Coroutine[Any, Any, None]) -> None:
    """Run coroutines until `stop` is set, then cancel them; the error of a failed one is raised."""
    async with run_alongside(stop, *coroutines):
        await stop.wait()
