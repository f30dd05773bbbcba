"""A way to a server that can be cut: while it is, connections are refused, as when the server is gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from infra.local.port import HOST, free_ports


class Relay:
    """Hands bytes on between its own port and a server's."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._there = parts.hostname, parts.port
        (self._port,) = free_ports(1)
        self.url = url.replace(f"{parts.hostname}:{parts.port}", f"{HOST}:{self._port}")
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Begin to hand on."""
        await self.mend()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        await self.cut()

    async def mend(self) -> None:
        """Take connections again."""
        self._server = await asyncio.start_server(self._connect, HOST, self._port)

    async def cut(self) -> None:
        """Break off every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, theirs = await asyncio.open_connection(*self._there)
            await asyncio.gather(self._hand_on(reader, theirs), self._hand_on(there, writer))

    async def _hand_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._open.add(sink)
        try:
            with suppress(OSError):
                while data := await source.read(1 << 16):
                    sink.write(data)
                    await sink.drain()
        finally:
            self._open.discard(sink)
            sink.close()
