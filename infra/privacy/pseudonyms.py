"""Pseudonyms: keyed hashes of ids (HMAC-SHA256, RFC 2104) whose key changes with the period."""

from __future__ import annotations

import hashlib
import hmac

from domain.timestamp import DAY_MS
from infra.error import OperatorError
from infra.settings import Settings

_DEVELOPMENT_KEY = b"millrace, for development only"
_HEX_DIGITS = 32


class Pseudonyms:
    """The pseudonyms of one period. Those of another period cannot be matched to them without the secret.

    >>> first, again, later = Pseudonyms(b"secret", 7), Pseudonyms(b"secret", 7), Pseudonyms(b"secret", 8)
    >>> first.of("user_id", "alex") == again.of("user_id", "alex") != later.of("user_id", "alex")
    True
    >>> first.of("user_id", "alex") == first.of("event_id", "alex")
    False
    """

    def __init__(self, secret: bytes, period: int) -> None:
        """Derive the key of a period.

        Args:
            secret: The secret of all periods.
            period: The number of the period.
        """
        self._key = hmac.digest(secret, b"period %d" % period, hashlib.sha256)

    def of(self, kind: str, name: str) -> str:
        """Return the pseudonym of an id.

        Args:
            kind: What the id names, such as user_id.
            name: The id.
        """
        return hmac.digest(self._key, f"{kind}\n{name}".encode(), hashlib.sha256).hex()[:_HEX_DIGITS]


def pseudonyms(settings: Settings, now_ms: int) -> Pseudonyms:
    """Return the pseudonyms of the period of a time.

    Args:
        settings: Supplies the key and the length of a period.
        now_ms: The time, in ms since the epoch.

    Raises:
        OperatorError: there is no key, outside development.
    """
    if not settings.pseudonym_key and not settings.is_development:
        raise OperatorError(
            "There is no key for pseudonyms.", "Set PSEUDONYM_KEY to a secret of 32 characters or more."
        )
    secret = settings.pseudonym_key.encode() or _DEVELOPMENT_KEY
    return Pseudonyms(secret, now_ms // (settings.pseudonym_days * DAY_MS))
