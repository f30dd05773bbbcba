"""Receipts of erasures: what was erased in each store, and when the rest is gone; signed (HMAC-SHA256, RFC 2104)."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
from msgspec.structs import replace

from infra.erasure.erasure_index import ErasureKey


class ErasedStore(msgspec.Struct, frozen=True, kw_only=True):
    """The number of entries erased in a store."""

    name: str
    erased: int  # wire


class ExpiringTopic(msgspec.Struct, frozen=True, kw_only=True):
    """A topic whose log still holds records of the user, which no reader takes into account."""

    name: str
    gone_by: int | None
    """Time by which the broker has deleted them, in ms since the epoch; null if its settings set none."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of a complete erasure. The user appears as a keyed hash. Times are in ms since the epoch."""

    user_hash: str
    request_id: str
    requested_at: int
    completed_at: int
    stores: list[ErasedStore]
    topics: list[ExpiringTopic]
    key_id: str
    """Identifies the key of the hash and of the signature."""
    signature: str = ""
    """HMAC-SHA256 of the receipt without it, in hexadecimal."""


def signed(receipt: Receipt, key: ErasureKey) -> Receipt:
    """Return a receipt with its signature.

    >>> key = ErasureKey(b"secret")
    >>> receipt = Receipt(
    ...     user_hash="", request_id="", requested_at=1, completed_at=2, stores=[], topics=[], key_id=key.key_id
    ... )
    >>> is_authentic(signed(receipt, key), key), is_authentic(replace(signed(receipt, key), completed_at=3), key)
    (True, False)
    """
    return replace(receipt, signature=_signature(receipt, key))


def is_authentic(receipt: Receipt, key: ErasureKey) -> bool:
    """Return whether a receipt is as it was signed with a key."""
    return hmac.compare_digest(receipt.signature, _signature(receipt, key))


def _signature(receipt: Receipt, key: ErasureKey) -> str:
    document = msgspec.json.encode(replace(receipt, signature=""))
    return hmac.new(key.signature_key, document, hashlib.sha256).hexdigest()
