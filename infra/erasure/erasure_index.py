"""Index of erased users: keyed hashes of their ids (BLAKE2b, RFC 7693), with the times of their erasures."""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b

from infra.error import OperatorError
from infra.settings import Settings
from schemas.types import Erasure

_DEVELOPMENT_KEY = b"millrace, for development only"
_HASH_BYTES, _KEY_ID_BYTES = 16, 4
_REQUESTS = 10_000
_NEVER = -1
_WAIT_S = 30.0
_LOG = logging.getLogger(__name__)


class ErasureKey:
    """The key of the hashes and of the signatures.

    Args:
        secret: Any bytes; each use has a key of its own, derived from them.
    """

    def __init__(self, secret: bytes) -> None:
        self._hash_key, self.signature_key = (
            blake2b(secret, digest_size=32, person=use).digest() for use in (b"millrace-hash", b"millrace-sign")
        )
        self.key_id = blake2b(self._hash_key, digest_size=_KEY_ID_BYTES).hexdigest()
        """Identifies the key without revealing it."""

    def hash_of(self, user_id: bytes) -> str:
        """Return the keyed hash of a user id.

        >>> ErasureKey(b"secret").hash_of(b"alex") == ErasureKey(b"secret").hash_of(b"alex")
        True
        >>> ErasureKey(b"secret").hash_of(b"alex") == ErasureKey(b"another").hash_of(b"alex")
        False
        """
        return blake2b(user_id, key=self._hash_key, digest_size=_HASH_BYTES).hexdigest()


def erasure_key(settings: Settings) -> ErasureKey | None:
    """Return the key of the settings; in development there is a public one, elsewhere None without ERASURE_KEY."""
    if settings.erasure_key:
        return ErasureKey(settings.erasure_key.encode())
    return ErasureKey(_DEVELOPMENT_KEY) if settings.is_development else None


def required_erasure_key(settings: Settings) -> ErasureKey:
    """Return the key of the settings.

    Raises:
        OperatorError: there is none.
    """
    key = erasure_key(settings)
    if key is None:
        raise OperatorError("Nobody can be erased without a key.", "Set ERASURE_KEY, the same for all processes.")
    return key


class ErasureIndex:
    """Says which records belong to erased users.

    Only records that are older than the newest erasure are hashed, so that live records cost a comparison.
    """

    def __init__(self, key: ErasureKey | None) -> None:
        """Start without erasures.

        Args:
            key: The key of the hashes; without one no user is ever recognised.
        """
        self._key = key
        self._erased_at: dict[str, int] = {}
        """Append time of the newest erasure in ms since the epoch, by hash."""
        self._newest_ms = _NEVER
        self._request_ids: dict[str, None] = {}
        self._change = asyncio.Event()

    def __len__(self) -> int:
        return len(self._erased_at)

    def apply(self, erasure: Erasure, append_ms: int) -> bool:
        """Add an erasure; return False if it was made with another key, so that its user is not recognised.

        Args:
            erasure: The erasure.
            append_ms: Its append time, in ms since the epoch.
        """
        self._erased_at[erasure.user_hash] = max(append_ms, self._erased_at.get(erasure.user_hash, _NEVER))
        self._newest_ms = max(append_ms, self._newest_ms)
        self._request_ids[erasure.request_id] = None
        if len(self._request_ids) > _REQUESTS:
            del self._request_ids[next(iter(self._request_ids))]
        change, self._change = self._change, asyncio.Event()
        change.set()
        return self._key is not None and erasure.key_id == self._key.key_id

    def erased_at(self, user_id: str) -> int:
        """Return the append time of a user's newest erasure in ms since the epoch; -1 without one."""
        if self._key is None or not self._erased_at:
            return _NEVER
        return self._erased_at.get(self._key.hash_of(user_id.encode()), _NEVER)

    def covers(self, user_key: bytes | None, append_ms: int) -> bool:
        """Return whether a user was erased at or after an append time.

        Args:
            user_key: The user id as the key of a message.
            append_ms: Append time of the message, in ms since the epoch.
        """
        if append_ms > self._newest_ms or self._key is None or user_key is None:
            return False
        return append_ms <= self._erased_at.get(self._key.hash_of(user_key), _NEVER)

    def knows(self, user_key: bytes) -> bool:
        """Return whether a user was erased at any time.

        Args:
            user_key: The user id as the key of a message.
        """
        return self._key is not None and bool(self._erased_at) and self._key.hash_of(user_key) in self._erased_at

    async def wait_for(self, request_id: str, *, timeout_s: float = _WAIT_S) -> bool:
        """Wait until the erasure of a request is known here; return False for a request without an erasure.

        Args:
            request_id: The id of the request.
            timeout_s: Longest wait in seconds. An erasure is published before its request.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while request_id not in self._request_ids:
                    await self._change.wait()
        except TimeoutError:
            _LOG.warning("the erasure request %s has no erasure and is ignored", request_id)
            return False
        return True
