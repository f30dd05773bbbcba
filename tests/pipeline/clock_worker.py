"""A feed worker whose clock a test sets, by the time in ms in `MILLRACE_HOME/clock`; it runs on from there."""

from __future__ import annotations

import asyncio
import signal
import time

import uvloop

from infra.settings import read_settings
from streams.roles.feed.feed_role import run


async def main() -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = read_settings()
    clock = settings.millrace_home / "clock"

    def now_ms() -> int:
        return int(clock.read_text()) + round((time.time() - clock.stat().st_mtime) * 1_000)

    await run(settings, stop, now_ms=now_ms)


if __name__ == "__main__":
    uvloop.run(main())
