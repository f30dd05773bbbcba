"""A double of an issuer of tokens (OpenID Connect): it signs RS256 tokens and publishes its keys as JWKS.

issuer = Issuer()
async with issuer.serve() as url:      # JWT_JWKS_URL=url
token = issuer.token(sub="ann")
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.double.serve import serving


class Issuer:
    """One issuer; `rotate` gives it a new key in place of the one it has, `asked` counts who asked for its keys."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False
        self._count = 0
        self.rotate()

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish it alone."""
        self._count += 1
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)

    def token(self, **claims: Any) -> str:
        """Return a signed token; it lasts a minute unless its claims say otherwise."""
        return jwt.encode({"exp": time.time() + 60, **claims}, self._key, "RS256", {"kid": f"key-{self._count}"})

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Serve the keys on a free port, and yield their address."""
        return serving(Starlette(routes=[Route("/", self._keys)]))

    async def _keys(self, _: Request) -> Response:
        self.asked += 1
        if self.is_away:
            return Response(status_code=503)
        key = RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**key, "kid": f"key-{self._count}", "use": "sig", "alg": "RS256"}]})
