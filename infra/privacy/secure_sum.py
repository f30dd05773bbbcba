"""The server's part of secure aggregation: the sum of many clients' counters, of which it learns no other.

The client's part is `millrace_client.secure_aggregation`, with the description of the protocol (Bonawitz et al. 2017).
Nothing is sent or stored here: who moves the messages of a round calls its method, and closes the round by reading what
the next one needs. The API (`api.privacy.secure_aggregation`) keeps the messages in Redis, and resumes an aggregation
for each request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Self

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

Counters = NDArray[np.uint64]
"""Numbers of 64 bits, which wrap as they are added."""
PRIME = (1 << 521) - 1
"""The field of the shares."""
MODULUS = 1 << 64
"""Counters are added modulo this."""
MAX_THRESHOLD, MAX_VALUES = 500, 10_000
"""Largest threshold, and largest number of counters of a client."""
_SECRET_BYTES, _SHARE_BYTES, _STREAM_NONCE_BYTES, _MAX_CIPHERTEXT = 32, 66, 16, 256


class RoundError(ValueError):
    """A message that does not fit its round. It changes nothing."""


class IncompleteSumError(RuntimeError):
    """Too few clients are left for a round; the aggregation ends without a sum."""

    def __init__(self, count: int, threshold: int) -> None:
        self.count, self.threshold = count, threshold
        super().__init__(f"{count} clients are left; {threshold} are needed")


class PublicKeys(msgspec.Struct, frozen=True):
    """The public keys of a client (X25519)."""

    mask: bytes
    share: bytes


class RevealedShares(msgspec.Struct, frozen=True):
    """Shares by client: of the seeds of the masks of survivors, and of the private mask keys of the others."""

    seeds: dict[str, bytes]
    mask_keys: dict[str, bytes]


class SecureSum:
    """One aggregation. The rounds follow each other; in each, messages of any order are taken once per client."""

    def __init__(self, aggregation_id: str, *, length: int, threshold: int) -> None:
        """Begin the first round.

        Args:
            aggregation_id: The id of the aggregation, which enters all keys.
            length: Number of counters of each client.
            threshold: Number of clients that each round needs. At most twice as many less one take part: with more, a
                server that tells clients different things could learn both secrets of one.
        """
        if not 0 < length <= MAX_VALUES or not 1 < threshold <= MAX_THRESHOLD:
            raise ValueError("an aggregation has from 1 to 10,000 counters, and a threshold from 2 to 500")
        self._aggregation_id, self._length, self._threshold = aggregation_id, length, threshold
        self._round = 1
        self._keys: dict[str, PublicKeys] = {}
        self._shares: dict[str, Mapping[str, bytes]] = {}
        self._masked_values: dict[str, Counters] = {}
        self._revealed_shares: dict[str, RevealedShares] = {}
        self._weights: dict[tuple[int, ...], list[int]] = {}
        """Lagrange's weights by places of the shares: most secrets are put together from the same places."""

    @classmethod
    def resumed(
        cls,
        aggregation_id: str,
        *,
        length: int,
        threshold: int,
        number: int,
        keys: Mapping[str, PublicKeys] | None = None,
        share_senders: Collection[str] = (),
        masked_values: Mapping[str, Counters] | None = None,
        revealed_shares: Mapping[str, RevealedShares] | None = None,
    ) -> Self:
        """Return an aggregation in one of its rounds, made of messages that were taken before.

        Args:
            aggregation_id: The id of the aggregation.
            length: Number of counters of each client.
            threshold: Number of clients that each round needs.
            number: The round in progress (1 to 4).
            keys: The messages of the first round, by client.
            share_senders: The clients of the second round.
            masked_values: The messages of the third round.
            revealed_shares: Those of the fourth.
        """
        aggregation = cls(aggregation_id, length=length, threshold=threshold)
        aggregation._round = number
        aggregation._keys |= keys or {}
        aggregation._shares |= {name: {} for name in share_senders}
        aggregation._masked_values |= masked_values or {}
        aggregation._revealed_shares |= revealed_shares or {}
        return aggregation

    def add_keys(self, client_id: str, keys: PublicKeys) -> None:
        """Take the public keys of a client, in the first round.

        Args:
            client_id: The client.
            keys: Its keys.

        Raises:
            RoundError: the round is over, the client has sent keys, they are none, or there are too many clients.
        """
        self._check(1, client_id, self._keys, senders=None)
        if len(keys.mask) != _SECRET_BYTES or len(keys.share) != _SECRET_BYTES:
            raise RoundError(f"keys have {_SECRET_BYTES} bytes")
        if keys.mask == keys.share or not all(_is_key(key) for key in (keys.mask, keys.share)):
            raise RoundError("the keys are not two keys that others can use")  # who met them would take no part
        if len(self._keys) == 2 * self._threshold - 1:
            raise RoundError(f"an aggregation has fewer than {2 * self._threshold} clients")
        self._keys[client_id] = keys

    def keys(self) -> Mapping[str, PublicKeys]:
        """Close the first round, and return the keys of all clients, for each of them."""
        self._close(1, self._keys)
        return self._keys

    def add_shares(self, client_id: str, shares: Mapping[str, bytes]) -> None:
        """Take the encrypted shares of a client for all others, in the second round.

        Args:
            client_id: The client.
            shares: The shares, by receiver.

        Raises:
            RoundError: it does not fit the round.
        """
        self._check(2, client_id, self._shares, senders=self._keys)
        if shares.keys() != self._keys.keys() - {client_id} or max(map(len, shares.values())) > _MAX_CIPHERTEXT:
            raise RoundError("there must be a share for each other client")
        self._shares[client_id] = shares

    def shares_for(self, client_id: str) -> Mapping[str, bytes]:
        """Close the second round, and return the encrypted shares for a client, by sender.

        Args:
            client_id: The client.
        """
        self._close(2, self._shares)
        return {sender: shares[client_id] for sender, shares in self._shares.items() if sender != client_id}

    def add_masked(self, client_id: str, values: Sequence[int]) -> None:
        """Take the masked counters of a client, in the third round.

        Args:
            client_id: The client.
            values: The counters.

        Raises:
            RoundError: it does not fit the round.
        """
        self._check(3, client_id, self._masked_values, senders=self._shares)
        if len(values) != self._length or not all(0 <= value < MODULUS for value in values):
            raise RoundError(f"there must be {self._length} numbers of 64 bits")
        self._masked_values[client_id] = np.array(values, np.uint64)

    def survivors(self) -> list[str]:
        """Close the third round, and return the clients whose counters are in the sum, for each of them."""
        self._close(3, self._masked_values)
        return sorted(self._masked_values)

    def add_revealed(self, client_id: str, shares: RevealedShares) -> None:
        """Take the shares that a client reveals, in the fourth round.

        Args:
            client_id: The client.
            shares: The shares.

        Raises:
            RoundError: it does not fit the round.
        """
        self._check(4, client_id, self._revealed_shares, senders=self._masked_values)
        if shares.seeds.keys() != self._masked_values.keys() or shares.mask_keys.keys() != self._dropped():
            raise RoundError("there must be one share for each client")
        if {len(share) for one in (shares.seeds, shares.mask_keys) for share in one.values()} != {_SHARE_BYTES}:
            raise RoundError(f"shares have {_SHARE_BYTES} bytes")
        self._revealed_shares[client_id] = shares

    def total(self) -> list[int]:
        """Close the fourth round, and return the sum of the counters of the survivors.

        Raises:
            IncompleteSumError: too few clients revealed shares.
            RoundError: the shares do not give the key of a client that dropped out.
        """
        self._close(4, self._revealed_shares)
        sums = np.zeros(self._length, np.uint64)
        for values in self._masked_values.values():
            sums += values
        for survivor in self._masked_values:
            seed = self._secret({name: reply.seeds[survivor] for name, reply in self._revealed_shares.items()})
            sums -= _mask(seed, self._length)
        for peer in self._dropped():
            shares = {name: reply.mask_keys[peer] for name, reply in self._revealed_shares.items()}
            key = X25519PrivateKey.from_private_bytes(self._secret(shares))
            if key.public_key().public_bytes_raw() != self._keys[peer].mask:
                raise RoundError(f"the shares do not give the key of {peer}")
            for survivor in self._masked_values:
                mask = _mask(self._pair_seed(key, self._keys[survivor].mask), self._length)
                sums += -mask if survivor > peer else mask
        return [int(value) for value in sums]

    def _pair_seed(self, key: X25519PrivateKey, public_key: bytes) -> bytes:
        """Return the seed of the mask of two clients, as they derive it."""
        secret = key.exchange(X25519PublicKey.from_public_bytes(public_key))
        info = f"millrace secure aggregation\n{self._aggregation_id}\nmask".encode()
        return HKDF(SHA256(), length=_SECRET_BYTES, salt=None, info=info).derive(secret)

    def _dropped(self) -> set[str]:
        """Return the clients whose masks are in the sums of others, and whose counters are not."""
        return self._shares.keys() - self._masked_values.keys()

    def _secret(self, shares: Mapping[str, bytes]) -> bytes:
        """Return the secret of shares by client (Lagrange's polynomial at 0)."""
        all_places = {name: place for place, name in enumerate(sorted(self._keys), 1)}
        names = sorted(shares)[: self._threshold]
        places = tuple(all_places[name] for name in names)
        if places not in self._weights:
            self._weights[places] = [_weight(place, places) for place in places]
        secret = sum(
            int.from_bytes(shares[name]) * weight for name, weight in zip(names, self._weights[places], strict=True)
        )
        secret %= PRIME
        if secret >= 1 << 8 * _SECRET_BYTES:
            raise RoundError("the shares give no secret")
        return secret.to_bytes(_SECRET_BYTES)

    def _check(
        self, number: int, client_id: str, messages: Mapping[str, object], *, senders: Mapping[str, object] | None
    ) -> None:
        if self._round != number:
            raise RoundError(f"round {self._round} is in progress, not round {number}")
        if client_id in messages or (senders is not None and client_id not in senders):
            raise RoundError(f"{client_id} has sent its message, or none in the round before")

    def _close(self, number: int, messages: Mapping[str, object]) -> None:
        """Close a round; one that is closed stays as it is.

        Raises:
            IncompleteSumError: too few clients took part in it.
        """
        if self._round < number:
            raise RoundError(f"round {self._round} is in progress, not round {number}")
        if len(messages) < self._threshold:
            raise IncompleteSumError(len(messages), self._threshold)
        self._round = max(self._round, number + 1)


def _is_key(key: bytes) -> bool:
    """Return whether secrets can be agreed on with a public key: of some, all secrets would be zero."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(key))
    except ValueError:
        return False
    return True


def _weight(place: int, places: Sequence[int]) -> int:
    """Return the weight of the share at a place in the value at 0 of the polynomial through all places (Lagrange)."""
    numerator, denominator = 1, 1
    for other in places:
        if other != place:
            numerator, denominator = numerator * other % PRIME, denominator * (other - place) % PRIME
    return numerator * pow(denominator, -1, PRIME) % PRIME


def _mask(seed: bytes, length: int) -> Counters:
    """Return the mask of a seed, as the clients do."""
    stream = Cipher(ChaCha20(seed, bytes(_STREAM_NONCE_BYTES)), mode=None).encryptor().update(bytes(8 * length))
    return np.frombuffer(stream, np.dtype("<u8")).astype(np.uint64)
