"""The HTTP server: uvicorn over connections that are held to deadlines and bounds (`api.http.connection`)."""

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
"""Files and connections that a process has beside those of its clients."""


class HttpServer(uvicorn.Server):
    """Serves an app as the settings say; it leaves the signals to whoever runs it."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        protocol: Any = partial(Connection, settings=settings, waiting={})
        self._most_connections = settings.api_max_connections
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.api_host,
                port=settings.api_port,
                loop="none",  # whoever runs it has one
                http=protocol,
                ws="none",
                access_log=False,
                server_header=False,
                forwarded_allow_ips=settings.api_proxies,
                log_config=None,
                timeout_keep_alive=ceil(settings.api_idle_timeout_s),
                timeout_graceful_shutdown=5,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Begin to listen, with as many open files as connections may need."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = self._most_connections + _OTHER_FILES
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        if soft != resource.RLIM_INFINITY and soft < limit:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Look at what connections wait for, once a second; uvicorn calls this ten times as often."""
        if counter % _TICKS_A_SECOND == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.check(now_s)
        return await super().on_tick(counter)
