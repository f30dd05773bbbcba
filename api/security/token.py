"""Verification of bearer tokens."""

from __future__ import annotations

import hashlib
import hmac
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import jwt

from api.http.error import UnauthorizedError
from api.security.jwks import IssuerKeys
from api.security.principal import ADMIN, Principal
from infra.settings import Settings
from schemas.limit import id_problem

_CACHE_SIZE = 20_000
_CACHE_TTL_S = 300.0
"""Seconds for which a verified token is cached."""


class Tokens:
    """Verifies tokens and caches the result: a cached token costs a hash and a look-up.

    HS256 is verified with our secret, the algorithms of JWT_ALGORITHMS with the keys of the issuer that the token
    names; the two are never mixed. The configured admin token is also accepted.
    """

    def __init__(self, settings: Settings, *, clock_s: Callable[[], float] = time.time) -> None:
        self._admin_token = settings.admin_token.encode()
        self._secret = settings.jwt_secret
        self._algorithms = frozenset(settings.jwt_algorithm_list)
        self._issuers = settings.jwt_issuer_list
        self._keys = _keys_by_issuer(self._issuers, settings.jwt_jwks_url_list)
        self._audience, self._leeway_s = settings.jwt_audience or None, settings.jwt_leeway_s
        self._clock_s = clock_s
        self._principals: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()

    def cached_principal(self, token: str) -> Principal | None:
        """Return the principal of the admin token or of a cached token; None for any other."""
        if self._admin_token and hmac.compare_digest(token.encode(), self._admin_token):
            return Principal(ADMIN, frozenset((ADMIN,)))
        digest = _digest(token)
        principal, until_s = self._principals.get(digest, (None, 0.0))
        if principal is None or self._clock_s() >= until_s:
            return None
        self._principals.move_to_end(digest)
        return principal

    async def principal(self, token: str) -> Principal | None:
        """Return the principal of a token; None for an empty token, or if neither a secret nor keys are configured.

        Raises:
            UnauthorizedError: the token is invalid.
            KeysUnavailableError: the issuer's keys are unavailable.
        """
        principal = self.cached_principal(token)
        if principal is None and token and (self._secret or self._keys):
            principal, expires_s = await self._verified(token)
            self._principals[_digest(token)] = (principal, min(expires_s, self._clock_s() + _CACHE_TTL_S))
            if len(self._principals) > _CACHE_SIZE:
                self._principals.popitem(last=False)
        return principal

    async def _verified(self, token: str) -> tuple[Principal, float]:
        try:
            claims = await self._claims(token)
            subject, expires_s = claims["sub"], float(claims["exp"])
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise UnauthorizedError(f"the token is invalid: {_reason(error)}") from error
        subject = unicodedata.normalize("NFC", subject)
        if id_problem(subject) is not None:
            raise UnauthorizedError("the token is invalid: its subject is not a user id")
        return Principal(subject, _scopes(claims)), expires_s + self._leeway_s

    async def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str):
            raise jwt.InvalidAlgorithmError
        if algorithm == "HS256" and self._secret:
            return self._decoded(token, self._secret, algorithm, self._issuers)
        if algorithm not in self._algorithms or not self._keys:
            raise jwt.InvalidAlgorithmError
        issuer = None
        if self._issuers:  # the unverified issuer only selects the keys; the signed one is verified below
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            if not isinstance(issuer, str) or issuer not in self._keys:
                raise jwt.InvalidIssuerError
        keys, kid = self._keys[issuer], header.get("kid")
        issuers = [issuer] if issuer is not None else []
        key = await keys.find(algorithm, kid)
        try:
            return self._decoded(token, key.public, algorithm, issuers)
        except jwt.InvalidSignatureError as error:
            try:  # the issuer may have replaced the key
                key = await keys.find(algorithm, kid, failed_key=key)
            except UnauthorizedError:
                raise error from None
            return self._decoded(token, key.public, algorithm, issuers)

    def _decoded(self, token: str, key: Any, algorithm: str, issuers: Sequence[str]) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=issuers or None,
            leeway=self._leeway_s,
            options={"require": ["exp", "sub"], "verify_aud": self._audience is not None},
        )
        return claims


def _keys_by_issuer(issuers: Sequence[str | None], urls: Sequence[str]) -> dict[str | None, IssuerKeys]:
    """Return the keys by issuer, from the URL at the issuer's index, or from the only URL."""
    if len(urls) == 1:
        keys = IssuerKeys(urls[0])
        return dict.fromkeys(issuers or [None], keys)
    return {issuer: IssuerKeys(url) for issuer, url in zip(issuers, urls, strict=bool(urls))}


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes, as OAuth issuers write them: space-separated in `scope`, or a list or a string in `scp`."""
    claim = claims.get("scope", claims.get("scp", ""))
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else ()
    return frozenset(str(word) for word in words)


def _reason(error: Exception) -> str:
    """Return the problem in our own words: the library's message may quote the token."""
    reasons: dict[type[Exception], str] = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.InvalidIssuerError: "it is from another issuer",
        jwt.MissingRequiredClaimError: "it must have exp and sub, and aud and iss where they are configured",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.InvalidAlgorithmError: "it is not signed as it must be here",
        jwt.InvalidSignatureError: "its signature does not match",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "it cannot be read")
