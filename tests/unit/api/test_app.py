"""Endpoints that a composition adds to the API get the same guard as all others."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from api.app import create_app
from api.context import Clients
from api.http.endpoint import Endpoint
from api.http.response import json_response
from infra.settings import Settings
from tests.unit.api.builder import World
from tests.unit.api.security.test_auth import STRICT, a_token, bearer


async def ping(_: Request) -> Response:
    """Return a constant."""
    return json_response("pong")


@pytest.mark.parametrize(("headers", "status"), [({}, 401), (bearer(a_token()), 200)], ids=["nobody", "a user"])
async def test_an_added_endpoint_is_guarded(headers: dict[str, str], status: int) -> None:
    world = World()
    clients = Clients(publisher=world.publisher, feeds=world.feeds, items=world.items)
    app = create_app(
        Settings(**STRICT), clients, more_endpoints=[lambda _: [Endpoint("GET", "/ping", ping, answers={200: str})]]
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as http:
        assert (await http.get("/ping", headers=headers)).status_code == status
