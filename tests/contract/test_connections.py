"""Clients that are slow, greedy or broken, over raw sockets: each is let go, and costs the others nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import pytest

from api.http.server import HttpServer
from infra.settings import OFF, Settings
from tests.build import a_feed, an_item
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token
from topics.topic import INTERACTIONS

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


@pytest.fixture
async def quick() -> AsyncIterator[Rig]:
    async with serving(**QUICK) as rig:
        yield rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with serving() as rig:
        yield rig


HALF = b"GET /content?user_id=u1 HTTP/1.1\r\nHost: api\r\nX-Slow: "
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


SLOW: list[tuple[bytes, bytes, int]] = [
    *((b"", b"", 0), (b"", b"\r\n", 408), (b"G", b"", 408), (b"GET /content?user_id=", b"u", 408)),
    *((HALF, b"", 408), (HALF, b"x", 408), (HALF, b"x: y\r\nX: ", 408), (GET[:-2], b"", 408)),
    (POST + b"Content-Length: 100\r\n\r\n" + BODY[:10], b"", 408),
    (POST + b"Content-Length: 100\r\n\r\n", b" ", 408),
    *((CHUNKED, b"1\r\n \r\n", 408), (CHUNKED + b"5", b"", 408), (CHUNKED + b"1", b";x=y", 408)),
    (CHUNKED + b"0\r\n", b"X: y\r\n", 408),
    (POST + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", b"", 100),
    (GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n"), b"x", 200),
    (b"POST /nowhere HTTP/1.1\r\nHost: api\r\nContent-Length: 100\r\n\r\n", b"x", 404),
    *((GET, b"", 200), (GET, b"\r\n", 200), (GET + HALF, b"x", 200), (GET * 3 + HALF, b"x", 200)),
]


async def test_a_slow_client_gets_an_error_and_is_disconnected(quick: Rig) -> None:
    """Each sends a beginning, and then a little from time to time."""

    async def answered(begin: bytes, then: bytes) -> bytes:
        reader, writer = await quick.connect()

        async def drip() -> None:
            writer.write(begin)
            while then:
                await asyncio.sleep(0.1)
                writer.write(then)

        dripping = asyncio.create_task(drip())
        try:
            return await until_closed(reader)
        finally:
            dripping.cancel()
            writer.close()

    answers = await asyncio.gather(*(answered(begin, then) for begin, then, _ in SLOW))
    for (begin, then, expected), answer in zip(SLOW, answers, strict=True):
        assert status(answer) == expected, (begin, then)
        if expected == 408:
            assert code(answer) == "request_timeout"
            assert b"connection: close" in answer.lower()
    await quick.has_connections(0)
    assert not quick.world.publisher.values_of(INTERACTIONS)


async def test_a_client_that_takes_its_time_within_reason_is_served(rig: Rig) -> None:
    reader, writer = await rig.connect()
    for request in (GET, POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY):
        for byte in request:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        assert status(head) in (200, 202)
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    writer.close()


def endless(kind: str) -> Iterator[bytes]:
    """Return a request that does not end, in parts."""
    part = b"x" * 65_536
    line = b"X-Filler: " + b"y" * 1_000 + b"\r\n"
    get = b"GET /health HTTP/1.1\r\nHost: api\r\n"
    chunk = b"1" + b";e=" * 20_000
    return {
        "address": chain([b"GET /content?user_id="], repeat(part)),
        "method": repeat(b"G" * 65_536),
        "version": chain([b"GET / HTTP/1.1"], repeat(part)),
        "header": chain([get + b"X-Endless: "], repeat(part)),
        "header name": chain([get], repeat(part)),
        "headers": chain([get], repeat(line * 60)),
        "short headers": chain([get], repeat(b"a:b\r\n" * 10_000)),
        "folded header": chain([get + b"X-Folded: a"], repeat(b"\r\n b" * 16_000)),
        "blank lines": repeat(b"\r\n" * 30_000),
        "trailers": chain([CHUNKED + b"0\r\n"], repeat(line * 60)),
        "trailer": chain([CHUNKED + b"0\r\nX-Endless: "], repeat(part)),
        "chunk extension": chain([CHUNKED + b"1;e="], repeat(part)),
        "chunk extensions": chain([CHUNKED], repeat(chunk)),
        "chunk size": chain([CHUNKED], repeat(b"0" * 65_536)),
        "authorization": chain([get + b"Authorization: Bearer "], repeat(part)),
    }[kind]


KINDS = [
    *("address", "method", "version", "header", "header name", "headers", "short headers", "folded header"),
    *("blank lines", "trailers", "trailer", "chunk extension", "chunk extensions", "chunk size", "authorization"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_without_end_is_cut_off_soon(rig: Rig, kind: str) -> None:
    """The kernel's buffers hold a few MB on their way; nothing of it is kept."""
    reader, writer = await rig.connect()
    payload_count = 0
    with suppress(ConnectionError):
        async with asyncio.timeout(WITHIN_S):
            for part in endless(kind):
                writer.write(part)
                await writer.drain()
                payload_count += len(part)
                assert payload_count < 32 << 20, "it is taken without end"
    answer = await until_closed(reader)
    writer.close()
    assert status(answer) in (0, 400, 414, 431)
    await rig.has_connections(0)


@pytest.mark.parametrize(
    ("request_", "expected", "name"),
    [
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: api\r\n\r\n", 414, "url_too_long"),
        (b"GET /?q=" + b"x" * 40_000, 414, "url_too_long"),
        (HEALTH[:-2] + b"X: " + b"x" * 33_000 + b"\r\n\r\n", 431, "headers_too_large"),
        (HEALTH[:-2] + b"X: " + b"x" * 33_000, 431, "headers_too_large"),
        (HEALTH[:-2] + b"a: b\r\n" * 100 + b"\r\n", 431, "headers_too_large"),
        (HEALTH[:-2] + b"a: b\r\n" * 99 + b"Connection: close\r\n\r\n"[:0] + b"\r\n", 200, ""),
        (b"GET /health?q=" + b"x" * 8_000 + b" HTTP/1.1\r\nHost: api\r\n\r\n", 200, ""),
        (HEALTH[:-2] + b"X: " + b"x" * 30_000 + b"\r\n\r\n", 200, ""),
    ],
    ids=short,
)
async def test_headers_have_limits_with_errors_of_their_own(
    quick: Rig, request_: bytes, expected: int, name: str
) -> None:
    answer = await quick.ask(request_)
    assert status(answer) == expected
    assert not name or code(answer) == name
    assert not name or b"x-request-id" in answer.lower()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: api\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: api\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: api\r\nX: a\x00b\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=short,
)
async def test_what_is_no_request_is_answered_in_the_one_shape(quick: Rig, request_: bytes) -> None:
    answer = await quick.ask(request_)
    assert (status(answer), code(answer)) == (400, "bad_request")
    await quick.is_served()


async def test_others_are_served_while_some_send_without_end(rig: Rig) -> None:
    async def pour(kind: str) -> None:
        while True:
            with suppress(ConnectionError):
                _, writer = await rig.connect()
                for part in endless(kind):
                    writer.write(part)
                    await writer.drain()

    pouring = [asyncio.create_task(pour(kind)) for kind in ("header", "address", "headers", "trailer") * 3]
    try:
        for _ in range(10):
            await rig.is_served()
    finally:
        for task in pouring:
            task.cancel()
        await asyncio.gather(*pouring, return_exceptions=True)


async def test_half_requests_do_not_stay(quick: Rig) -> None:
    writers = []
    for _ in range(600):
        _, writer = await quick.connect()
        writer.write(HALF)
        writers.append(writer)
    await quick.is_served()
    await quick.has_connections(0)


async def test_when_there_are_too_many_the_one_that_waits_longest_goes() -> None:
    async with serving(api_max_connections=20) as rig:
        idle, idle_writer = await rig.connect()
        idle_writer.write(GET)
        assert status(await idle.readuntil(b"\r\n\r\n")) == 200
        slow = []
        for begin in (HALF, POST + b"Content-Length: 100\r\n\r\n", b"") * 30:
            reader, writer = await rig.connect()
            writer.write(begin)
            slow.append((reader, writer))
            await asyncio.sleep(0)
        await rig.is_served()
        assert rig.connections <= 21
        await until_closed(idle)
        assert await until_closed(slow[0][0]) == b""
        await rig.is_served()


async def test_when_all_are_being_answered_a_new_one_is_refused() -> None:
    async with serving(api_max_connections=5, api_max_user_listeners=9) as rig:
        streams = [await follow(rig, "u1") for _ in range(5)]
        answer = await rig.ask(HEALTH)
        assert (status(answer), code(answer)) == (503, "too_many_connections")
        assert b"retry-after" in answer.lower()
        streams[0][1].close()
        await rig.has_connections(4)
        await rig.is_served()


async def follow(rig: Rig, user_id: str, token: str = "") -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """Return a connection that follows a feed, and what it was answered with first."""
    reader, writer = await rig.connect()
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    writer.write(f"GET /content/stream?user_id={user_id} HTTP/1.1\r\nHost: api\r\n{authorization}\r\n".encode())
    async with asyncio.timeout(WITHIN_S):
        return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def test_one_user_does_not_take_the_streams_of_the_others() -> None:
    limits = {"rate_limit_user": OFF, "rate_limit_address": OFF}
    async with serving(**STRICT, **limits, api_max_listeners=20, api_max_user_listeners=3) as rig:
        ann, bob = a_token("ann"), a_token("u1")
        followed = [await follow(rig, "ann", ann) for _ in range(12)]
        other = await follow(rig, "u1", bob)
        assert [status(head) for _, _, head in followed] == [200] * 3 + [429] * 9
        assert status(other[2]) == 200
        for _, writer, _ in (*followed, other):
            writer.close()
        await rig.has_connections(0)
        again = await follow(rig, "ann", ann)  # a seat that was left is free
        assert status(again[2]) == 200


async def test_streams_that_are_asked_for_at_once_are_counted_too() -> None:
    async with serving(api_max_listeners=5, api_max_user_listeners=2) as rig:
        followed = await asyncio.gather(*(follow(rig, "ann") for _ in range(10)))
        statuses = sorted(status(head) for _, _, head in followed)
        assert statuses == [200] * 2 + [429] * 8


async def test_what_trails_a_body_is_no_header() -> None:
    limits = {"rate_limit_user": OFF, "rate_limit_address": OFF}
    async with serving(**STRICT, **limits, **QUICK) as rig:
        chunk = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
        trailer = b"Authorization: Bearer %b\r\n\r\n" % a_token("ann").encode()
        assert status(await rig.ask(CHUNKED + chunk + trailer)) == 401
        assert status(await rig.ask(CHUNKED[:-2] + trailer + chunk + b"\r\n")) == 202


async def test_requests_in_one_go_are_answered_in_their_order_up_to_a_few(quick: Rig) -> None:
    reader, writer = await quick.connect()
    writer.write(
        b"".join(b"GET /nowhere/%d HTTP/1.1\r\nHost: api\r\nX-Request-ID: r%d\r\n\r\n" % (n, n) for n in range(15))
    )
    answers = await until_closed(reader)
    writer.close()
    assert [part.split(b"\r\n")[0] for part in answers.split(b"x-request-id: ")[1:]] == [b"r%d" % n for n in range(15)]


async def test_requests_without_end_in_one_go_are_cut_off(rig: Rig) -> None:
    reader, writer = await rig.connect()
    with suppress(ConnectionError):
        async with asyncio.timeout(WITHIN_S):
            for _ in range(1_000):
                writer.write(HEALTH * 2_000)
                await writer.drain()
            raise AssertionError("they are all taken")
    await until_closed(reader)
    writer.close()
    await rig.has_connections(0)
    await rig.is_served()


async def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    async with serving(**QUICK, api_send_timeout_s=1.0) as rig:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", rig.port))
            await loop.sock_sendall(client, GET.replace(b"u1", b"u1&limit=3") * 8)
            await rig.has_connections(1)
            await rig.has_connections(0)


async def test_a_stream_that_is_not_read_is_let_go() -> None:
    async with serving(api_send_timeout_s=1.0) as rig:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", rig.port))
            await loop.sock_sendall(client, b"GET /content/stream?user_id=u1 HTTP/1.1\r\nHost: api\r\n\r\n")
            version = 5
            async with asyncio.timeout(WITHIN_S):
                await rig.has_connections(1)
                while rig.connections:
                    version += 1
                    await rig.world.feeds.write([a_feed(features_version=version)])
                    await asyncio.sleep(0.01)
        metrics = await rig.ask(b"GET /metrics HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        assert b"millrace_feed_listeners 0.0" in metrics


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"TLS/1.0"])
async def test_an_upgrade_is_passed_over(quick: Rig, upgrade: bytes) -> None:
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    answer = await quick.ask(GET[:-2] + asks + b"Upgrade: " + upgrade + b"\r\n\r\n")
    assert status(answer) == 200


async def test_head_on_a_stream_ends_and_the_connection_goes_on(rig: Rig) -> None:
    reader, writer = await rig.connect()
    writer.write(b"HEAD /content/stream?user_id=u1 HTTP/1.1\r\nHost: api\r\n\r\n" + HEALTH)
    async with asyncio.timeout(WITHIN_S):
        assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
        assert status(await reader.readuntil(b"\r\n\r\n")) == 200
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
    assert b"millrace_feed_listeners 0.0" in await until_closed(reader)
    writer.close()


async def test_the_server_stops_though_clients_do_not_go(rig: Rig) -> None:
    for _ in range(20):
        (await rig.connect())[1].write(HALF)
    reader, writer = await rig.connect()
    writer.write(GET)
    assert status(await reader.readuntil(b"\r\n\r\n")) == 200
    (await rig.connect())[1].write(POST + b"Content-Length: 100\r\n\r\n")
    await follow(rig, "u1")
    await rig.has_connections(23)
    rig.server.should_exit = True
    async with asyncio.timeout(WITHIN_S):
        while rig.server.server_state.tasks:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("size", [0, 10, 60_000, 70_000, 900_000])
async def test_a_client_that_goes_in_the_middle_of_a_body_is_no_mistake_of_ours(
    quick: Rig, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await quick.connect()
    writer.write(POST + b"Content-Length: 1000000\r\n\r\n" + b" " * size)
    await writer.drain()
    await quick.has_connections(1)
    writer.transport.abort()
    await quick.has_connections(0)
    await quick.is_served()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


FORWARDED = [
    *("203.0.113.7:{n}", "203.0.113.7", "[2001:db8::1]:{n}", "2001:db8::{n}", "[2001:db8::{n}]", "2001:db8:0:0:{n}::1"),
    *(
        "made-up-{n}",
        "unknown-{n}",
        "_hidden{n}",
        "203.0.113.7:x{n}",
        "for=203.0.113.{n}",
        "300.1.1.{n}",
        "<{n}>",
        "é{n}",
    ),
    *("198.51.100.{n}, 203.0.113.7", "198.51.100.{n}, 203.0.113.7:{n}", "made-up-{n}, 203.0.113.7, 127.0.0.1", " ,{n}"),
]


@pytest.mark.parametrize("forwarded", FORWARDED)
async def test_a_client_is_limited_whatever_a_proxy_says_of_it(forwarded: str) -> None:
    """A proxy that is believed hands on another port, or another name, each time."""
    async with serving(**STRICT, rate_limit_address="5/minute") as rig:
        statuses = []
        for number in range(1, 13):
            request = forwarded.replace("{n}", str(number)).encode("latin-1")
            asks = b"GET /interaction/ann HTTP/1.1\r\nHost: api\r\nConnection: close\r\nX-Forwarded-For: %b\r\n\r\n"
            statuses.append(status(await rig.ask(asks % request)))
    assert statuses[:5] == [401] * 5
    assert statuses[-1] == 429
