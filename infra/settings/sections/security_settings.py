"""Settings of the API's security: tokens, rate limits, origins and audits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from infra.settings.setting import NOT_NEGATIVE, Constraint, comma_separated, one_of, secret, setting

OFF = "off"
JWT_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Algorithms with public keys only: a published key must never be used as a shared secret."""
_RATE = re.compile(r"[1-9]\d{0,8}/(second|minute|hour)")
RATE = Constraint(lambda limit: limit == OFF or _RATE.fullmatch(limit) is not None, "like 600/minute, or off")
ALGORITHMS = Constraint(
    lambda text: bool(names := comma_separated(text)) and set(names) <= set(JWT_ALGORITHMS),
    f"among {', '.join(JWT_ALGORITHMS)}",
)


@dataclass(frozen=True, kw_only=True)
class SecuritySettings:
    """API security."""

    api_security: str = setting(
        "auto",
        "whether to require bearer tokens and enforce rate limits: on, off, or auto (on outside development)",
        one_of("auto", "on", OFF),
    )
    jwt_secret: str = secret(
        "secret for the signatures of HS256 tokens", Constraint(lambda key: len(key) >= 32, "32 characters or more")
    )
    jwt_jwks_url: str = setting("", "URL of the token issuer's public keys (JWKS); comma-separated for several issuers")
    jwt_algorithms: str = setting(
        "RS256",
        f"accepted signature algorithms of issuers, comma-separated: {', '.join(JWT_ALGORITHMS)}",
        ALGORITHMS,
    )
    jwt_audience: str = setting("", "required audience of tokens; empty: any")
    jwt_issuer: str = setting(
        "",
        "accepted issuers of tokens, comma-separated; empty: any; with several URLs of keys, the issuer of each in the "
        "same order",
    )
    jwt_leeway_s: float = setting(10.0, "tolerated clock skew of an issuer, in seconds", NOT_NEGATIVE)
    erasure_key: str = secret(
        "key of the hashes of erased users' ids and of the signatures of receipts; empty: a public one in development, "
        "and elsewhere nobody can be erased",
        Constraint(lambda key: len(key) >= 32, "32 characters or more"),
    )
    admin_token: str = secret("bearer token of an administrator, in addition to tokens with the scope admin")
    rate_limit_user: str = setting("600/minute", "rate limit per user, or off", RATE)
    rate_limit_address: str = setting("3000/minute", "rate limit per IP address, or off", RATE)
    rate_limit_erasure: str = setting("10/hour", "rate limit of erasures and exports of a user, or off", RATE)
    cors_origins: str = setting(
        "", "origins allowed by CORS, comma-separated, such as https://app.example; empty: none"
    )
    trusted_proxies: str = setting(
        "127.0.0.1", "IP addresses of proxies whose X-Forwarded-For is trusted, comma-separated"
    )
    audit_reads: bool = setting(True, "whether to record each served feed on the topic audits")

    @property
    def jwt_algorithm_list(self) -> list[str]:
        """Return the accepted signature algorithms of issuers."""
        return comma_separated(self.jwt_algorithms)

    @property
    def jwt_issuer_list(self) -> list[str]:
        """Return the accepted issuers of tokens."""
        return comma_separated(self.jwt_issuer)

    @property
    def jwt_jwks_url_list(self) -> list[str]:
        """Return the URLs of the issuers' public keys."""
        return comma_separated(self.jwt_jwks_url)
