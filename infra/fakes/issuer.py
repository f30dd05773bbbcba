"""A fake issuer of tokens (OpenID Connect).

    issuer = Issuer()
    async with issuer.serve() as url:      # JWT_JWKS_URL=url
        token = issuer.token(sub="ann")

It signs tokens and publishes its keys as JWKS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infra.fakes.serve import serve_app

_NEW: dict[str, Callable[[], Any]] = {
    "RS": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    "PS": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """One issuer; `request_count` is the number of requests for its keys, and `jwks` is the answer to them."""

    def __init__(self, algorithm: str = "RS256", *, names_keys: bool = True) -> None:
        """Create an issuer with its first key; without `names_keys`, neither keys nor tokens have a `kid`."""
        self.request_count = 0
        self.is_unavailable = False
        self.jwks: list[Any] = []
        self._algorithm, self._names_keys = algorithm, names_keys
        self._count = 0
        self.rotate()

    def rotate(self, *, keep_previous: bool = False) -> None:
        """Sign with a new key from now on, and publish it alone or `keep_previous` the previous ones."""
        self._count += 1
        self._key = _NEW.get(self._algorithm, _NEW.get(self._algorithm[:2], _NEW["RS"]))()
        public = jwt.get_algorithm_by_name(self._algorithm).to_jwk(self._key.public_key(), as_dict=True)
        key_parameters = {"kid": self.kid, "alg": self._algorithm} if self._names_keys else {}
        self.jwks = [*(self.jwks if keep_previous else ()), {**public, **key_parameters, "use": "sig"}]

    @property
    def kid(self) -> str:
        """Return the id of the current signing key."""
        return f"key-{self._count}"

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed token; it expires after a minute unless its claims say otherwise."""
        header = ({"kid": self.kid} if self._names_keys else {}) if header is None else header
        return jwt.encode({"exp": time.time() + 60, **claims}, self._key, self._algorithm, header)

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Serve the keys on a free port and yield their URL."""
        return serve_app(Starlette(routes=[Route("/", self._keys)]))

    async def _keys(self, _: Request) -> Response:
        self.request_count += 1
        return Response(status_code=503) if self.is_unavailable else JSONResponse({"keys": self.jwks})
