"""Signs of life of a child through a pipe, whatever else is away: a byte a second from its event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

OPTION = "--watchdog-fd"
"""The option by which a child is told where to write."""
_INTERVAL_S = 1.0
_BYTES = 1 << 16


class Watchdog:
    """The supervisor's end of the pipe; `heard` says whether a sign has come since it was last asked."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self.write_fd, False)

    def heard(self) -> bool:
        """Say whether the child has written since the last call."""
        with suppress(BlockingIOError):
            return bool(os.read(self._read_fd, _BYTES))
        return False

    def started(self) -> None:
        """Close the end that the child now has."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Close the supervisor's end."""
        os.close(self._read_fd)


async def pipe_heartbeat(fd: int) -> None:
    """Write a byte a second to the pipe until cancelled, or until nobody reads it any more."""
    with suppress(BrokenPipeError):
        while True:
            with suppress(BlockingIOError):  # the supervisor has not read for hours
                os.write(fd, b".")
            await asyncio.sleep(_INTERVAL_S)
