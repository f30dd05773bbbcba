"""Public keys of token issuers (JWKS, RFC 7517): fetching, caching, and selection of the key that verifies a token.

Known keys are used without waiting: stale keys are refreshed in the background while requests go on with them. A token
that matches no known key, as after a key rotation, triggers an immediate fetch, but at most one every ten seconds,
whatever key ids the tokens name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
import jwt

from api.http.error import KeysUnavailableError, UnauthorizedError

KEY_TYPES = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    **{"ES256": ("EC", "P-256"), "ES384": ("EC", "P-384"), "EdDSA": ("OKP", "Ed25519")},
}
"""Key type and curve by algorithm."""

_FRESH_S = 300.0
_AGAIN_S = 10.0
_TIMEOUT_S = 5.0
_MAX_BYTES, _MAX_KEYS = 256 << 10, 100
_RSA_BITS = 2_048
_AWAY = (httpx.HTTPError, httpx.InvalidURL)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key and the algorithms that it verifies."""

    kid: str | None
    algorithms: frozenset[str]
    jwk: dict[str, Any] = field(repr=False)
    public: Any = field(compare=False, repr=False)


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, url: str, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock_s = url, clock_s
        self._keys: list[Key] | None = None
        self._got_s = self._asked_s = self._missed_s = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None, *, failed_key: Key | None = None) -> Key:
        """Return the key that verifies a token.

        Args:
            algorithm: The token's algorithm.
            kid: The token's key id, if it has one.
            failed_key: A key that did not match the token's signature; it is excluded.

        Raises:
            KeysUnavailableError: no keys have been fetched yet.
            UnauthorizedError: no key matches, or several do and the token names none.
        """
        now_s = self._clock_s()
        fitting = self._fitting(algorithm, kid, failed_key)
        if len(fitting) == 1:
            if now_s - self._got_s > _FRESH_S and now_s - self._asked_s > _AGAIN_S:
                self._ask()
            return fitting[0]
        await self._ask_for_missing(now_s)
        if self._keys is None:
            raise KeysUnavailableError
        fitting = self._fitting(algorithm, kid, failed_key)
        if not fitting:
            raise UnauthorizedError("the token is invalid: its key is not one of the issuer's")
        if len(fitting) > 1:
            raise UnauthorizedError("the token is invalid: several of the issuer's keys match, and its kid names none")
        return fitting[0]

    def _fitting(self, algorithm: str, kid: str | None, failed_key: Key | None) -> list[Key]:
        """Return the candidate keys of an algorithm: those with the key id, or all where the token or keys lack ids."""
        fitting = [key for key in self._keys or () if algorithm in key.algorithms and key != failed_key]
        if kid is None:
            return fitting
        return [key for key in fitting if key.kid == kid] or [key for key in fitting if key.kid is None]

    async def _ask_for_missing(self, now_s: float) -> None:
        """Wait for a fetch, if one is in progress or allowed again."""
        if self._keys is None:
            may_ask = now_s - self._asked_s > _AGAIN_S
        elif may_ask := now_s - self._missed_s > _AGAIN_S and self._asking is None:
            self._missed_s = now_s
        if may_ask:
            self._ask()
        if self._asking is not None:
            await asyncio.shield(self._asking)

    def _ask(self) -> None:
        """Start a fetch, unless one is in progress."""
        if self._asking is None:
            self._asked_s = self._clock_s()
            self._asking = asyncio.create_task(self._read())
            self._asking.add_done_callback(self._asked)

    def _asked(self, _: asyncio.Task[None]) -> None:
        self._asking = None

    async def _read(self) -> None:
        """Replace the keys by those that the issuer publishes; keep the known keys if the fetch fails."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                document = json.loads(await self._fetch())
            self._keys, self._got_s = list(_keys(document["keys"])), self._clock_s()
        except (*_AWAY, TimeoutError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.warning("the keys at %s cannot be fetched: %s", self._url, type(error).__name__)

    async def _fetch(self) -> bytes:
        data = bytearray()
        headers = {"Accept-Encoding": "identity"}  # a compressed body could exceed the limit once decompressed
        async with (
            httpx.AsyncClient(verify=_tls(), headers=headers, timeout=_TIMEOUT_S) as client,
            client.stream("GET", self._url) as answer,
        ):
            answer.raise_for_status()
            async for chunk in answer.aiter_raw():
                data += chunk
                if len(data) > _MAX_BYTES:
                    raise ValueError
        return bytes(data)


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _keys(jwks: list[Any]) -> Iterator[Key]:
    """Yield the usable keys; others are ignored, as RFC 7517 requires."""
    for one in jwks[:_MAX_KEYS]:
        with suppress(jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            algorithms = frozenset(name for name in KEY_TYPES if _verifies(one, name))
            kid = one.get("kid")
            if algorithms and isinstance(kid, str | None):
                public = jwt.PyJWK(one, min(algorithms)).key
                if one["kty"] != "RSA" or public.key_size >= _RSA_BITS:
                    yield Key(kid, algorithms, one, public)


def _verifies(jwk: dict[str, Any], algorithm: str) -> bool:
    """Return whether a published key is public and meant to verify signatures of an algorithm."""
    kty, crv = KEY_TYPES[algorithm]
    return (
        jwk["kty"] == kty
        and crv in (None, jwk.get("crv"))
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and "verify" in jwk.get("key_ops", ("verify",))
        and "d" not in jwk
    )
