"""The client's part of secure aggregation: the server learns the sum of many clients' counters, and none of them.

Each pair of clients agrees on a mask that one adds and the other subtracts, so that the masks vanish in the sum; a mask
of its own protects a client whose counters arrive late. Shares of the secrets behind the masks (Shamir 1979) let the
others replace a client that drops out. The protocol has four rounds (Bonawitz et al. 2017, figure 4, against a server
that is curious, but follows it):

    keys ──▶ shares of secrets, encrypted for each other client ──▶ masked counters ──▶ shares that are needed

It needs the package cryptography: `pip install 'millrace-client[aggregation]'`. The method `contribute` of the clients
takes part through the API; a `Contributor` alone sends nothing.

    contributor = Contributor("clicks-2026-11-30", "phone-17", [3, 0, 1], threshold=67)
    keys = contributor.public_keys()
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Collection, Mapping, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

PRIME = (1 << 521) - 1
"""The field of the shares."""
MODULUS = 1 << 64
"""Counters are added modulo this."""
MAX_VALUE = (1 << 32) - 1
"""Largest counter of a client, so that the sum of all does not overflow."""
_SECRET_BYTES, _SHARE_BYTES, _NONCE_BYTES, _STREAM_NONCE_BYTES = 32, 66, 12, 16


class AggregationError(Exception):
    """The aggregation cannot go on without a risk to this client's counters; nothing more is sent."""


class PublicKeys(msgspec.Struct, frozen=True):
    """The public keys of a client (X25519)."""

    mask: bytes
    """The key from which masks are agreed on."""
    share: bytes
    """The key that encrypts shares."""


class RevealedShares(msgspec.Struct, frozen=True):
    """Shares of the secrets of others, by client: of each either its own mask or its key, never both."""

    seeds: dict[str, bytes]
    """Shares of the seeds of the masks of clients whose counters are in the sum."""
    mask_keys: dict[str, bytes]
    """Shares of the private mask keys of clients that dropped out."""


class Contributor:
    """One client in one aggregation. Its methods are the rounds, each called once, in their order."""

    def __init__(self, aggregation_id: str, client_id: str, values: Sequence[int], *, threshold: int) -> None:
        """Draw the secrets of the client.

        Args:
            aggregation_id: The id of the aggregation.
            client_id: The id of this client.
            values: Its counters, from 0 to MAX_VALUE.
            threshold: Number of clients that together can replace one that drops out, more than half of all.

        Raises:
            ValueError: a counter is out of range.
        """
        if not all(0 <= value <= MAX_VALUE for value in values):
            raise ValueError(f"counters must lie between 0 and {MAX_VALUE}")
        self._aggregation_id, self._client_id, self._threshold = aggregation_id, client_id, threshold
        self._values = list(values)
        self._mask_key, self._share_key = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self._seed = secrets.token_bytes(_SECRET_BYTES)
        self._round = 0
        self._peers: dict[str, PublicKeys] = {}
        self._shares: dict[str, tuple[bytes, bytes]] = {}
        """Shares of the seed and of the mask key of each client that sent them, this one included."""

    def public_keys(self) -> PublicKeys:
        """Return the public keys, for the first round."""
        self._begin(1)
        return self._own_keys()

    def encrypted_shares(self, keys: Mapping[str, PublicKeys]) -> dict[str, bytes]:
        """Return shares of this client's secrets, encrypted for each other client.

        Args:
            keys: The public keys of all clients of the aggregation.

        Raises:
            AggregationError: too few clients, a threshold of half of them or less, or keys that are not as sent.
        """
        self._begin(2)
        if not self._threshold <= len(keys) < 2 * self._threshold:
            raise AggregationError(f"{len(keys)} clients do not fit the threshold {self._threshold}")
        all_keys = [key for one in keys.values() for key in (one.mask, one.share)]
        if keys.get(self._client_id) != self._own_keys() or len(set(all_keys)) < len(all_keys):
            raise AggregationError("the keys are not those that the clients sent")
        self._peers = dict(keys)
        names = sorted(keys)
        private_key = self._mask_key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        seeds, mask_keys = (_split(secret, len(names), self._threshold) for secret in (self._seed, private_key))
        shares = dict(zip(names, zip(seeds, mask_keys, strict=True), strict=True))
        self._shares[self._client_id] = shares.pop(self._client_id)
        return {name: self._encrypt(name, seed + mask_key) for name, (seed, mask_key) in shares.items()}

    def masked_values(self, shares: Mapping[str, bytes]) -> list[int]:
        """Return the counters under all masks.

        Args:
            shares: The encrypted shares for this client, by the client that sent them.

        Raises:
            AggregationError: too few clients sent shares, or one was changed on its way.
        """
        self._begin(3)
        for sender, ciphertext in shares.items():
            if sender not in self._peers or sender == self._client_id:
                raise AggregationError(f"{sender} is no other client of this aggregation")
            plaintext = self._decrypt(sender, ciphertext)
            self._shares[sender] = plaintext[:_SHARE_BYTES], plaintext[_SHARE_BYTES:]
        if len(self._shares) < self._threshold:
            raise AggregationError(f"only {len(self._shares)} clients sent shares; {self._threshold} are needed")
        values = [*self._values]
        _add(values, _mask(self._seed, len(values)), 1)
        for peer in shares:
            seed = self._pair_key(self._mask_key, self._peers[peer].mask, use="mask")
            _add(values, _mask(seed, len(values)), 1 if self._client_id > peer else -1)
        return values

    def revealed_shares(self, survivors: Collection[str]) -> RevealedShares:
        """Return the shares with which the server removes the masks that do not vanish.

        Args:
            survivors: The clients whose masked counters the server has.

        Raises:
            AggregationError: too few survive, so that their sum would tell too much, or some are unknown.
        """
        self._begin(4)
        names = set(survivors)
        if self._client_id not in names or not names <= self._shares.keys() or len(names) < self._threshold:
            raise AggregationError(f"{len(names)} survivors do not fit the aggregation")
        return RevealedShares(
            seeds={name: seed for name, (seed, _) in self._shares.items() if name in names},
            mask_keys={name: mask_key for name, (_, mask_key) in self._shares.items() if name not in names},
        )

    def _begin(self, number: int) -> None:
        """Begin a round: who answers one twice could be made to reveal both secrets of another client."""
        if self._round != number - 1:
            raise AggregationError(f"round {number} does not follow round {self._round}")
        self._round = number

    def _own_keys(self) -> PublicKeys:
        return PublicKeys(
            self._mask_key.public_key().public_bytes_raw(), self._share_key.public_key().public_bytes_raw()
        )

    def _encrypt(self, receiver: str, plaintext: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher(receiver).encrypt(nonce, plaintext, _context(self._client_id, receiver))

    def _decrypt(self, sender: str, ciphertext: bytes) -> bytes:
        nonce, rest = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        try:
            plaintext = self._cipher(sender).decrypt(nonce, rest, _context(sender, self._client_id))
        except (InvalidTag, ValueError) as error:
            raise AggregationError(f"the shares of {sender} were changed on their way") from error
        if len(plaintext) != 2 * _SHARE_BYTES:
            raise AggregationError(f"the shares of {sender} are not complete")
        return plaintext

    def _cipher(self, peer: str) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(self._pair_key(self._share_key, self._peers[peer].share, use="share"))

    def _pair_key(self, key: X25519PrivateKey, public_key: bytes, *, use: str) -> bytes:
        """Return the key for one use that two clients share in this aggregation."""
        try:
            secret = key.exchange(X25519PublicKey.from_public_bytes(public_key))
        except ValueError as error:
            raise AggregationError("a client sent a key that is none") from error
        info = f"millrace secure aggregation\n{self._aggregation_id}\n{use}".encode()
        return HKDF(SHA256(), length=_SECRET_BYTES, salt=None, info=info).derive(secret)


def _split(secret: bytes, count: int, threshold: int) -> list[bytes]:
    """Return shares of a secret, of which `threshold` give it back, and fewer tell nothing (Shamir 1979)."""
    coefficients = [int.from_bytes(secret), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    shares = []
    for place in range(1, count + 1):
        share = 0
        for coefficient in reversed(coefficients):
            share = (share * place + coefficient) % PRIME
        shares.append(share.to_bytes(_SHARE_BYTES))
    return shares


def _mask(seed: bytes, length: int) -> tuple[int, ...]:
    """Return the mask of a seed: 64-bit numbers of a ChaCha20 key stream, little-endian."""
    stream = Cipher(ChaCha20(seed, bytes(_STREAM_NONCE_BYTES)), mode=None).encryptor().update(bytes(8 * length))
    return struct.unpack(f"<{length}Q", stream)


def _add(values: list[int], mask: Sequence[int], sign: int) -> None:
    values[:] = [(value + sign * number) % MODULUS for value, number in zip(values, mask, strict=True)]


def _context(sender: str, receiver: str) -> bytes:
    return msgspec.json.encode([sender, receiver])
