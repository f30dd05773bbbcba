"""Heartbeats of a child process through a pipe, independent of any server: one byte per second from its event loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

OPTION = "--watchdog-fd"
"""The child's command-line option for the file descriptor of the pipe."""
_INTERVAL_S = 1.0
_BYTES = 1 << 16


class Watchdog:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self.write_fd, False)

    def has_heartbeat(self) -> bool:
        """Say whether the child has written since the last call."""
        with suppress(BlockingIOError):
            return bool(os.read(self._read_fd, _BYTES))
        return False

    def close_write_end(self) -> None:
        """Close the write end, which the child has inherited."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Close the read end."""
        os.close(self._read_fd)


async def pipe_heartbeat(fd: int) -> None:
    """Write one byte per second to the pipe until cancelled, or until the read end is closed."""
    with suppress(BrokenPipeError):
        while True:
            with suppress(BlockingIOError):  # the pipe is full: the supervisor has not read for hours
                os.write(fd, b".")
            await asyncio.sleep(_INTERVAL_S)
