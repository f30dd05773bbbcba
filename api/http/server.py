"""The HTTP server: uvicorn with connections that enforce deadlines and limits (`api.http.connection`)."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from api.http.connection import Connection
from infra.settings import Settings

_TICKS_A_SECOND = 10
_OTHER_FILES = 256
"""Open files and connections of a process other than those of its clients."""


class HttpServer(uvicorn.Server):
    """Serves an app as configured; signal handling is left to the calling process."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        protocol: Any = partial(Connection, settings=settings, waiting={})
        self._most_connections = settings.api_max_connections
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.api_host,
                port=settings.api_port,
                loop="none",  # the calling process has one
                http=protocol,
                ws="none",
                access_log=False,
                server_header=False,
                forwarded_allow_ips=settings.trusted_proxies,
                log_config=None,
                timeout_keep_alive=ceil(settings.api_idle_timeout_s),
                timeout_graceful_shutdown=5,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture no signals."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Raise the limit of open files for the connections, then start listening."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = self._most_connections + _OTHER_FILES
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if soft != resource.RLIM_INFINITY and soft < limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Check the deadlines of all connections once a second; uvicorn calls this ten times a second."""
        if counter % _TICKS_A_SECOND == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now_s)
        return await super().on_tick(counter)
