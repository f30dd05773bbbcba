"""Bearer tokens: what makes one good, and whose it is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import httpx
import jwt

from api.caller import ADMIN, Caller
from api.error import KeysAwayError, UnauthorizedError
from infra.settings import Settings
from schemas.limit import id_problem

_KEPT = 20_000
_KEPT_S = 300.0
"""How long a verified token, and an issuer's set of keys, is taken as it was."""
_AGAIN_S = 10.0
"""How soon an issuer may be asked for its keys again, whatever ids of keys tokens name."""
_REQUIRED = {"require": ["exp", "sub"]}


class Tokens:
    """Verifies tokens, each once in a while: a request with one that is known costs a hash and a look-up.

    HS256 is held against our secret and RS256 against the issuer's published keys, never the one against the other's.
    The admin's own token is one, too.
    """

    def __init__(self, settings: Settings, *, clock_s: Callable[[], float] = time.time) -> None:
        self._admin_token = settings.admin_token.encode()
        self._secret = settings.jwt_secret
        self._keys = _Keys(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._claims: dict[str, Any] = {
            "audience": settings.jwt_audience or None,
            "issuer": settings.jwt_issuer or None,
            "leeway": settings.jwt_leeway_s,
            "options": {**_REQUIRED, "verify_aud": bool(settings.jwt_audience)},
        }
        self._clock_s = clock_s
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def caller(self, token: str) -> Caller | None:
        """Return whose token it is, None when there is none, or nothing that it can be held against.

        Raises:
            UnauthorizedError: it is no good.
            KeysAwayError: the issuer's keys cannot be had.
        """
        if self._admin_token and hmac.compare_digest(token.encode(), self._admin_token):
            return Caller(ADMIN, frozenset((ADMIN,)))
        if not (token and (self._secret or self._keys)):
            return None
        digest = hashlib.sha256(token.encode()).digest()
        caller, until_s = self._known.get(digest, (None, 0.0))
        if caller is None or until_s <= self._clock_s():
            caller, expires_s = await self._verified(token)
            self._known[digest] = (caller, min(expires_s, self._clock_s() + _KEPT_S))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(digest)
        return caller

    async def _verified(self, token: str) -> tuple[Caller, float]:
        try:
            key, algorithm = await self._key_of(jwt.get_unverified_header(token))
            claims = jwt.decode(token, key, algorithms=[algorithm], **self._claims)
        except jwt.InvalidTokenError as error:
            raise UnauthorizedError(f"the token is no good: {_why(error)}") from error
        subject = unicodedata.normalize("NFC", claims["sub"])
        if id_problem(subject) is not None:
            raise UnauthorizedError("the token is no good: its subject is no user's id")
        return Caller(subject, _scopes(claims)), float(claims["exp"]) + self._claims["leeway"]

    async def _key_of(self, header: dict[str, Any]) -> tuple[Any, str]:
        if header.get("alg") == "HS256" and self._secret:
            return self._secret, "HS256"
        if header.get("alg") == "RS256" and self._keys is not None:
            return await self._keys.find(header.get("kid")), "RS256"
        raise jwt.InvalidAlgorithmError


class _Keys:
    """The keys that an issuer publishes (JWKS), asked for when one is missing or they are old."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = asyncio.Lock()
        self._found: dict[str | None, Any] = {}
        self._asked_s = self._got_s = float("-inf")

    async def find(self, kid: str | None) -> Any:
        async with self._lock:
            now_s = time.monotonic()
            stale = kid not in self._found or now_s - self._got_s > _KEPT_S
            if stale and now_s - self._asked_s > _AGAIN_S:
                self._asked_s = now_s
                await self._ask()
        if kid in self._found:
            return self._found[kid]
        if not self._found:
            raise KeysAwayError
        raise UnauthorizedError("the token is no good: its key is not one of the issuer's")

    async def _ask(self) -> None:
        try:
            async with httpx.AsyncClient(timeout=5.0) as client:
                answer = await client.get(self._url)
            answer.raise_for_status()
            keys = jwt.PyJWKSet.from_dict(answer.json()).keys
        except (httpx.HTTPError, ValueError, jwt.PyJWTError):
            return  # what is known still holds
        self._found = {key.key_id: key.key for key in keys if key.key_type == "RSA"}
        self._got_s = self._asked_s


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes, as OAuth issuers write them: words in `scope`, or a list or words in `scp`."""
    given = claims.get("scope", claims.get("scp", ""))
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
    return frozenset(str(word) for word in words)


def _why(error: jwt.InvalidTokenError) -> str:
    """Return what is wrong in words of ours: the library's may quote the token."""
    reasons: dict[type[Exception], str] = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.InvalidIssuerError: "it is from another issuer",
        jwt.MissingRequiredClaimError: "it must have exp and sub, and aud and iss where these are set",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidAlgorithmError: "it is not signed as it must be here",
        jwt.InvalidSignatureError: "its signature does not fit",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "it cannot be read")
