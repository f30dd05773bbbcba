"""Who may use what: the one place that decides."""

from __future__ import annotations

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.error import ForbiddenError


class AdminOnly:
    """Lets through who shows the admin's token, `Authorization: Bearer …`; nobody where none is set."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            ForbiddenError
        """
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._token)
        if not (self._token and kind.lower() == "bearer" and same):
            raise ForbiddenError
        await self._app(scope, receive, send)
