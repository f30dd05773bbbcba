"""Server for the application of a fake, on the loopback address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that leaves signal handling to its caller."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield


@asynccontextmanager
async def serve_app(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application and yield its URL; port 0 selects a free port."""
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
