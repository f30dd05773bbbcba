"""A push worker whose clock is a file, `clock` in its home folder: ms since the epoch."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from cli.log import set_up
from infra import settings
from streams.roles.push.push_role import run


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    configured = settings.read()
    set_up(configured)
    clock = configured.millrace_home / "clock"
    await run(configured, stop, now_ms=lambda: int(clock.read_text()))


if __name__ == "__main__":
    uvloop.run(main())
