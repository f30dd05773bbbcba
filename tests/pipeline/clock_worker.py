"""A feed worker whose clock a test sets: the pipeline's own code, with the time in ms in `MILLRACE_HOME/clock`."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from infra import settings
from streams.app import run


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    configured = settings.read()
    clock = configured.home / "clock"
    await run(configured, stop, now_ms=lambda: int(clock.read_text()))


if __name__ == "__main__":
    uvloop.run(main())
