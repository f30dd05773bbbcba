"""Running a coroutine until it ends or someone asks it to."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import uvloop
from threadpoolctl import threadpool_limits

from infra import watchdog

T = TypeVar("T")
_GC_THRESHOLD = (50_000, 20, 100)
"""Our processes hold many records and few cycles: looking for cycles at Python's own pace costs more than it frees."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, and give threads that make a loop of their own one of the same kind."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    return uvloop.run(main)


def on_one_core() -> None:
    """Keep matrix products on the thread that asks for them: a process is one core's worth, and there are more of them.

    Ours are small. Threads that wait for the next one would take the other cores from the servers.
    """
    threadpool_limits(1, user_api="blas")


def until_stopped(
    main: Callable[[asyncio.Event], Awaitable[T]],
    *,
    again: Callable[[], None] | None = None,
    watchdog_fd: int | None = None,
) -> T:
    """Run `main` with an event that the first Ctrl-C or SIGTERM sets.

    Args:
        main: What to run.
        again: Called on every further signal.
        watchdog_fd: Where a supervisor hears signs of life.
    """

    async def watched() -> T:
        stop = asyncio.Event()
        beating = None if watchdog_fd is None else asyncio.ensure_future(watchdog.pipe_heartbeat(watchdog_fd))

        def ask() -> None:
            if stop.is_set() and again is not None:
                again()
            stop.set()

        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, ask)
        try:
            return await main(stop)
        finally:
            if beating is not None:
                beating.cancel()

    return run(watched())
