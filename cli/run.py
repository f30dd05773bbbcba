"""Event loops: running coroutines until they end or a signal arrives."""

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
"""Our processes hold many records and few cycles: garbage collection at the default rate costs more than it frees."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop; event loops of other threads use uvloop, too."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    collect_rarely()
    return uvloop.run(main)


def collect_rarely() -> None:
    """Collect garbage at longer intervals, and never look at the objects of now again."""
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)


def on_one_core() -> None:
    """Limit BLAS to one thread: there is one process per core.

    Our matrix products are small, and idle BLAS threads would take the other cores from the servers by busy waiting.
    """
    threadpool_limits(1, user_api="blas")


def until_stopped(
    main: Callable[[asyncio.Event], Awaitable[T]],
    *,
    again: Callable[[], None] | None = None,
    watchdog_fd: int | None = None,
) -> T:
    """Run `main` with an event that is set by the first SIGINT (Ctrl-C), SIGTERM or SIGHUP.

    Args:
        main: The function to run.
        again: Called on every further signal.
        watchdog_fd: File descriptor to which heartbeats for the supervisor are written.
    """

    async def watched() -> T:
        stop = asyncio.Event()
        heartbeat_task = None if watchdog_fd is None else asyncio.ensure_future(watchdog.pipe_heartbeat(watchdog_fd))

        def ask() -> None:
            if stop.is_set() and again is not None:
                again()
            stop.set()

        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, ask)
        try:
            return await main(stop)
        finally:
            if heartbeat_task is not None:
                heartbeat_task.cancel()

    return run(watched())
