"""Requests that are endless, too large, pipelined or none at all: each is answered or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat

import pytest

from infra.settings import OFF
from tests.contract.connections.served_api import (
    BODY,
    CHUNKED,
    GET,
    HEALTH,
    POST,
    QUICK,
    WITHIN_S,
    Rig,
    code,
    serving,
    short,
    status,
    until_closed,
)
from tests.unit.api.security.test_auth import STRICT, a_token


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
