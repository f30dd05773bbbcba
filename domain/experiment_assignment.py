"""Assignment of users to the arms of experiments: salted hashes, the same in every process and at any time.

A layer is a space of buckets from 0 to 1 that its experiments divide among them: a user has one bucket in a layer, and
an experiment takes the users of a range of buckets. Within an experiment a user gets an arm by weighted rendezvous
hashing (Thaler and Ravishankar 1998, Schindelhauer and Schomaker 2005): each arm draws a number, and the smallest one
wins. The order of the arms therefore does not matter. An arm with a grown share loses nobody, one with a smaller share
wins nobody, and nobody moves between arms that keep their shares. The hashes of a layer and of each experiment are
independent, since each has a salt of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b

_RANGE = float(1 << 53)
"""Number of values of a hash: as many as a float tells apart below 1."""


def unit_hash(salt: str, user_id: str) -> float:
    """Return a number in [0, 1) for a user, uniform over users and independent between salts.

    Args:
        salt: The salt.
        user_id: The user.

    >>> unit_hash("a", "alex") == unit_hash("a", "alex"), unit_hash("a", "alex") == unit_hash("b", "alex")
    (True, False)
    """
    digest = blake2b(f"{salt}\n{user_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / _RANGE


def bucket_of(layer: str, user_id: str) -> float:
    """Return the bucket of a user in a layer, from 0 up to but not including 1.

    Args:
        layer: The name of the layer.
        user_id: The user.
    """
    return unit_hash(f"layer\n{layer}", user_id)


def arm_of(salt: str, shares: Mapping[str, float], user_id: str) -> str:
    """Return the arm of a user who takes part in an experiment.

    Args:
        salt: The salt of the experiment.
        shares: Share of the users by arm, of which one or more are positive; an arm with the share 0 gets no user.
        user_id: The user.

    >>> arm_of("x", {"a": 0.5, "b": 0.5}, "alex") == arm_of("x", {"b": 0.5, "a": 0.5}, "alex")
    True
    >>> arm_of("x", {"a": 1.0, "b": 0.0}, "alex")
    'a'
    """
    return min(
        (arm for arm, share in shares.items() if share > 0),
        key=lambda arm: (-math.log1p(-unit_hash(f"arm\n{salt}\n{arm}", user_id)) / shares[arm], arm),
    )
