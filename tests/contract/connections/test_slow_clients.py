"""Clients that are slow or go away, over raw sockets: each is let go, and costs the others nothing."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.build import a_feed
from tests.contract.connections.served_api import (
    BODY,
    CHUNKED,
    GET,
    HALF,
    POST,
    QUICK,
    WITHIN_S,
    Rig,
    code,
    follow,
    serving,
    status,
    until_closed,
)
from topics.topic import INTERACTIONS

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


async def test_half_requests_do_not_stay(quick: Rig) -> None:
    writers = []
    for _ in range(600):
        _, writer = await quick.connect()
        writer.write(HALF)
        writers.append(writer)
    await quick.is_served()
    await quick.has_connections(0)


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
