"""Authorization and rate limits of all endpoints.

The user of a path or a query is authorized here, that of a body where it is decoded (`api.http.body`), and those of a
batch entry by entry (`api.http.batch`): once each, before anything is read or published.

Outside development every caller needs a token (`Authorization: Bearer …`). It grants access to its own subject only,
unless its scopes include `service` or `admin`; requests are limited per user and per address. In development tokens
are optional, but a token that is sent is enforced. Admin endpoints always require the token of an admin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import ApiContext
from api.http.endpoint import Endpoint, Handler, Scope
from api.http.error import ApiError, ForbiddenError, UnauthorizedError
from api.http.path import of_ids
from api.security.principal import ADMIN, NAMES, Principal, authorize_user
from api.security.rate_limit import Outage, RateLimiter, network
from api.security.token import Tokens

_ADMIN_TOKENS = "which is one with the scope admin, or the API's setting ADMIN_TOKEN"


class Guard:
    """Authenticates callers, and enforces scopes and rate limits."""

    def __init__(self, context: ApiContext) -> None:
        settings, rates = context.settings, context.clients.rate_limit_storage
        self._is_strict, self._audits, self._tokens = settings.is_secured, context.audits, Tokens(settings)
        outage = Outage()
        self._users = RateLimiter("user", settings.rate_limit_user, rates, outage=outage)
        self._addresses = RateLimiter("address", settings.rate_limit_address, rates, outage=outage)

    @property
    def limits(self) -> Literal["off", "on", "blind"]:
        """Return whether rate limits are enforced; `blind` means that requests cannot be counted at the moment."""
        if not self._is_strict:
            return "off"
        return "blind" if self._users.is_degraded else "on"

    def routes(self, endpoints: Iterable[Endpoint]) -> list[Route]:
        """Return the routes of endpoints, each guarded as its scope requires."""
        return [Route(of_ids(one.path), self._guarded(one), methods=[one.method]) for one in endpoints]

    def _guarded(self, endpoint: Endpoint) -> Handler:
        if endpoint.scope == "public":
            return endpoint.handler if endpoint.method == "GET" else self._limited(endpoint)

        async def guarded(request: Request) -> Response:
            principal = request.scope["trace"].principal = await self._principal(request)
            self._admit(endpoint.scope, principal)
            for parameters in (request.path_params, request.query_params):
                for name in NAMES:
                    if name in parameters:
                        authorize_user(parameters[name])
            return await endpoint.handler(request)

        return self._audited(endpoint, guarded) if endpoint.scope == ADMIN else guarded

    def _limited(self, endpoint: Endpoint) -> Handler:
        async def limited(request: Request) -> Response:
            if self._is_strict:
                await self._addresses.acquire(_address(request))
            return await endpoint.handler(request)

        return limited

    async def _principal(self, request: Request) -> Principal | None:
        """Return the caller, or None where no token is needed and none was sent.

        A token that is not cached counts against its address before it is verified: verifying costs more than counting.
        """
        token = _bearer(request)
        principal = self._tokens.cached_principal(token)
        if self._is_strict and not (principal and principal.is_trusted):
            await self._addresses.acquire(_address(request))
        principal = principal or await self._tokens.principal(token)
        if self._is_strict and principal is None:
            raise UnauthorizedError("send a token: Authorization: Bearer …")
        if self._is_strict and principal and not principal.is_trusted:
            await self._users.acquire(principal.subject)
        return principal

    def _admit(self, scope: Scope, principal: Principal | None) -> None:
        if scope == ADMIN and principal is None:
            raise UnauthorizedError(f"send an admin's token: Authorization: Bearer …, {_ADMIN_TOKENS}")
        if scope == ADMIN and principal and not principal.is_admin:
            raise ForbiddenError(f"this endpoint requires an admin's token, {_ADMIN_TOKENS}")
        if scope == "service" and principal and not principal.is_trusted:
            raise ForbiddenError("this endpoint requires the scope service or admin")

    def _audited(self, endpoint: Endpoint, serve: Handler) -> Handler:
        async def audited(request: Request) -> Response:
            status = 500
            try:
                response = await serve(request)
                status = response.status_code
                return response
            except ApiError as error:
                status = error.status
                raise
            finally:
                user_id = request.path_params.get("user_id", "")
                self._audits.record_request(endpoint.method, endpoint.path, user_id=user_id, status=status)

        return audited


def _address(request: Request) -> str:
    return network(request.client.host if request.client else "")


def _bearer(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
