"""HTTP load generator: `python -m bench.http_load` reads its task from stdin and prints its measurements as JSON.

Closed loop: each connection sends the next request as soon as the response is complete. Raw sockets and httptools keep
the client's cost at a fraction of the server's.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import cast

import httptools
import msgspec
import uvloop

from bench.latency import summary_ms


class LoadTask(msgspec.Struct):
    """The requests of a load test, and its duration."""

    port: int
    paths: list[str]
    connections: int
    seconds: float
    warm_up_s: float
    host: str = "127.0.0.1"
    bodies: list[str] = []
    """JSON bodies to post, in turn; without any the requests are GETs."""
    status: int = 200
    """The status that every response must have."""

    def requests(self) -> Iterator[bytes]:
        """Yield the requests, forever."""
        if not self.bodies:
            return cycle([f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode() for path in self.paths])
        bodies = [body.encode() for body in self.bodies]
        head = "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        return cycle(
            [head.format(path, self.host, len(body)).encode() + body for path in self.paths for body in bodies]
        )


class BadAnswerError(RuntimeError):
    """The server responded with another status than expected."""

    def __init__(self, request: bytes, status: int) -> None:
        self.request, self.status = request, status
        super().__init__(f"{request.splitlines()[0].decode()}: {status}")


class Client(asyncio.Protocol):
    """One connection."""

    _transport: asyncio.Transport

    def __init__(
        self, requests: Iterator[bytes], status: int, latencies_ms: list[float], failure: asyncio.Future[None]
    ) -> None:
        self._requests, self._status, self._latencies_ms, self._failure = requests, status, latencies_ms, failure
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Parse a chunk of a response."""
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Report a connection that the server closed."""
        if not self._transport.is_closing() or error is not None:
            self._fail(error or ConnectionResetError("the server closed the connection"))

    def on_message_complete(self) -> None:
        """Record the latency and send the next request."""
        self._latencies_ms.append((time.perf_counter() - self._asked_s) * 1000)
        status = self._parser.get_status_code()
        if status == self._status:
            self._ask()
        else:
            self._fail(BadAnswerError(self._request, status))

    def _ask(self) -> None:
        self._request = next(self._requests)
        self._asked_s = time.perf_counter()
        self._transport.write(self._request)

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)


async def run(task: LoadTask) -> dict[str, float]:
    """Return requests per second and the percentiles of latency, after a warm-up.

    Raises:
        BadAnswerError, OSError: a request failed.
    """
    loop = asyncio.get_running_loop()
    requests = task.requests()
    latencies_ms: list[float] = []
    failure: asyncio.Future[None] = loop.create_future()
    client = partial(Client, requests, task.status, latencies_ms, failure)
    transports = [(await loop.create_connection(client, task.host, task.port))[0] for _ in range(task.connections)]
    await _pass(task.warm_up_s, failure)
    latencies_ms.clear()
    started_s = time.perf_counter()
    await _pass(task.seconds, failure)
    sample_ms, took_s = latencies_ms.copy(), time.perf_counter() - started_s
    for transport in transports:
        transport.abort()
    return {"rps": round(len(sample_ms) / took_s), **summary_ms(sample_ms)}


async def _pass(seconds: float, failure: asyncio.Future[None]) -> None:
    failures, _ = await asyncio.wait({failure}, timeout=seconds)
    if failures:
        failure.result()


if __name__ == "__main__":
    print(msgspec.json.encode(uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=LoadTask)))).decode())
