"""The API as clients meet it: served over HTTP from memory stores, with faults."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.app import create_app
from api.context import Clients
from infra.fakes.serve import serve_app
from infra.settings import Settings
from tests.unit.api.builder import World


class Failing:
    """An app that fails at first, once for each fault.

    A fault is a status, `lost` for an answer that breaks off, `cut` for a stream that ends after its first event, or
    `silent` for no answer.
    """

    def __init__(self, app: ASGIApp, faults: list[int | str]) -> None:
        self._app, self._faults = app, faults
        self.request_count = 0
        self._change = asyncio.Condition()
        self.headers = Headers()
        """Those of the newest request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._change:
            self.request_count += 1
            self._change.notify_all()
        self.headers = Headers(scope=scope)
        fault = self._faults.pop(0) if self._faults else None
        if isinstance(fault, int):
            headers = [(b"retry-after", b"0")] if fault in (429, 503) else []
            await send({"type": "http.response.start", "status": fault, "headers": headers})
            await send({"type": "http.response.body", "body": b"<html>a proxy's</html>"})
        elif fault == "silent":
            while (await receive())["type"] != "http.disconnect":
                continue
        else:
            await self._app(scope, receive, {"lost": _lost, "cut": _cut}[fault](send) if fault else send)

    async def until_asked(self, times: int) -> None:
        """Wait until so many requests have come."""
        async with self._change:
            await self._change.wait_for(lambda: self.request_count >= times)


def _lost(send: Send) -> Send:
    async def broken(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [(b"content-length", b"999")]
        await send(message)

    return broken


def _cut(send: Send) -> Send:
    async def broken(message: Message) -> None:
        await send(message)
        if message["type"] == "http.response.body":
            await send({"type": "http.response.body", "more_body": False})
            raise ConnectionResetError

    return broken


@asynccontextmanager
async def served(world: World, *faults: int | str, **settings: Any) -> AsyncIterator[tuple[str, Failing]]:
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items)
    app = Failing(create_app(replace(Settings(), **settings), clients), list(faults))
    async with serve_app(app) as url:
        yield url, app
