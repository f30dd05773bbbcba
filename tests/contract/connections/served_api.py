"""A served API, and raw requests to it over sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from api.http.server import HttpServer
from infra.settings import Settings
from tests.build import a_feed, an_item
from tests.unit.api.builder import World

WITHIN_S = 30.0
"""How long anything may take on a busy machine."""
QUICK: dict[str, Any] = {"api_header_timeout_s": 1.0, "api_body_timeout_s": 1.0, "api_idle_timeout_s": 1.0}
GET = b"GET /content?user_id=u1 HTTP/1.1\r\nHost: api\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: api\r\n\r\n"
POST = b"POST /interaction HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"
BODY = b'{"user_id":"ann","item_id":"i1","action":"click"}'


class Rig:
    """A served API and what it is made of."""

    def __init__(self, server: HttpServer, port: int, world: World) -> None:
        self.server, self.port, self.world = server, port, world
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        self._writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        with suppress(ConnectionError):
            await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def ask(self, request: bytes) -> bytes:
        """Return all that is answered until the connection is closed."""
        reader, writer = await self.connect()
        writer.write(request)
        try:
            return await until_closed(reader)
        finally:
            writer.close()

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def has_connections(self, count: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.connections != count:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)

    async def is_served(self) -> None:
        """Make sure that a client who asks as it should is answered soon."""
        async with asyncio.timeout(5):
            assert status(await self.ask(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))) == 200


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    data = b""
    async with asyncio.timeout(WITHIN_S):
        with suppress(ConnectionError):
            while part := await reader.read(1 << 16):
                data += part
    return data


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def code(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


def short(value: Any) -> str:
    """Return an id that fits on a line."""
    return str(value)[:40]


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Rig]:
    world = World()
    await world.feeds.write([a_feed(), a_feed(user_id="ann")])
    await world.items.write([an_item("i1"), an_item("i2", title="x" * 900_000)])
    with socket.create_server(("127.0.0.1", 0), backlog=2_048) as listening:
        server = HttpServer(world.app(**settings), replace(Settings(), **settings))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        async with asyncio.timeout(WITHIN_S):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for this
                await asyncio.sleep(0.01)
        rig = Rig(server, listening.getsockname()[1], world)
        try:
            yield rig
            await rig.hang_up()
        finally:
            server.should_exit = True
            async with asyncio.timeout(WITHIN_S):
                await running
            await rig.hang_up()


HALF = b"GET /content?user_id=u1 HTTP/1.1\r\nHost: api\r\nX-Slow: "
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


async def follow(rig: Rig, user_id: str, token: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Return a connection that follows a feed, and what it was answered with first."""
    reader, writer = await rig.connect()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET /content/stream?user_id={user_id} HTTP/1.1\r\nHost: api\r\n{authorization}\r\n".encode())
    async with asyncio.timeout(WITHIN_S):
        return reader, writer, await reader.readuntil(b"\r\n\r\n")
