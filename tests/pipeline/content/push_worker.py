"""A push worker whose clock is a file, `clock` in its home folder: ms since the epoch."""

from __future__ import annotations

import asyncio
import signal

import uvloop

from cli.log import set_up
from infra.settings import read_settings
from streams.roles.push.push_role import run


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = read_settings()
    set_up(settings)
    clock = settings.millrace_home / "clock"
    await run(settings, stop, now_ms=lambda: int(clock.read_text()))


if __name__ == "__main__":
    uvloop.run(main())
