"""A double's application on a port of the loopback address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that leaves the signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application and yield its address; port 0 takes a free one."""
    with socket.create_server((_HOST, port), backlog=512) as listener:
        config = uvicorn.Config(
            app, loop="none", lifespan="off", access_log=False, log_config=None, timeout_graceful_shutdown=1
        )
        server = _Server(config)
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            yield f"http://{_HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
