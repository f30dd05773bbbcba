"""Probes keep their client: asking often costs neither memory nor connections."""

from contextlib import aclosing
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.fakes.serve import serve_app
from infra.health import health_check


class Registry:
    """A registry that notes over which connections it is asked."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self.status = 200
        self.app = Starlette(routes=[Route("/apis/ccompat/v7/schemas/types", self._types)])

    async def _types(self, request: Request) -> Response:
        assert request.client is not None
        self.ports.append(request.client.port)
        return JSONResponse(["AVRO"], self.status)


async def test_a_registry_is_asked_a_hundred_times_through_one_client_and_one_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients: list[httpx.AsyncClient] = []

    class CountedClient(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)  # each makes a TLS context of its own
            clients.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", CountedClient)
    registry = Registry()
    async with serve_app(registry.app) as url, aclosing(health_check.registry(f"{url}/apis/ccompat/v7")) as ask:
        for _ in range(100):
            await ask()
    assert len([client for client in clients if "ccompat" in client.base_url.path]) == 1  # serving it takes others
    assert len(registry.ports) == 100
    assert len(set(registry.ports)) == 1


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_a_registry_that_does_not_serve_is_down_and_up_again(status: int) -> None:
    registry = Registry()
    async with serve_app(registry.app) as url, aclosing(health_check.registry(f"{url}/apis/ccompat/v7/")) as ask:
        registry.status = status
        with pytest.raises(httpx.HTTPStatusError):
            await ask()
        registry.status = 200
        await ask()


async def test_a_registry_that_was_restarted_is_found_again(unused_tcp_port: int) -> None:
    registry = Registry()
    async with aclosing(health_check.registry(f"http://127.0.0.1:{unused_tcp_port}/apis/ccompat/v7")) as ask:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError):
                await ask()
            async with serve_app(registry.app, port=unused_tcp_port):
                await ask()
