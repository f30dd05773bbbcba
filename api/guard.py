"""Who may use what: the one place that decides."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.endpoint import Endpoint, Handler
from api.error import ForbiddenError


class Guard:
    """Lets callers through to the endpoints that are theirs.

    An admin shows the admin's token, `Authorization: Bearer …`; where none is set, nobody is one.
    """

    def __init__(self, admin_token: str) -> None:
        self._admin_token = admin_token.encode()

    def routes(self, endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
        """Return the routes of endpoints, each behind what its scope asks for."""
        return [Route(one.path, self._guarded(one), methods=[one.method]) for one in endpoints]

    def _guarded(self, endpoint: Endpoint) -> Handler:
        if endpoint.scope != "admin":
            return endpoint.handler

        async def guarded(request: Request) -> Response:
            self._admit_admin(request)
            return await endpoint.handler(request)

        return guarded

    def _admit_admin(self, request: Request) -> None:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._admin_token)
        if not (self._admin_token and kind.lower() == "bearer" and same):
            raise ForbiddenError
