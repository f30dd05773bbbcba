"""Keyed noise: normal noise that follows from a secret key, so that a release made again is the same release.

Who does not know the key cannot tell the noise from chance, and so cannot subtract it. The noise is rounded, and added
to whole numbers in exact arithmetic: its last digits give nothing away (Mironov 2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b, shake_256

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

_BYTES = 8
"""Bytes of randomness in a number."""
_SHIFT, _STEPS = 11, 2.0**53
_HALVINGS = 200


class KeyedNoise:
    """The noise of a release.

    Numbers that differ get noise that is independent, also under one name: the difference of two releases tells no more
    than each of them.
    """

    def __init__(self, secret: bytes, at_ms: int) -> None:
        """Derive the key of a release.

        Args:
            secret: The secret of all releases.
            at_ms: The time of the release, in ms since the epoch.
        """
        self._key = blake2b(b"%d" % at_ms, key=blake2b(secret).digest()).digest()

    def noisy(self, counts: NDArray[np.int64], scales: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.int64]:
        """Return numbers with noise.

        Args:
            counts: (n, m) the numbers.
            scales: (m,) standard deviations of the noise.
            names: (n,) names of the rows.

        >>> counts, scales = np.full((2, 1), 100), np.array([50.0])
        >>> first, again, later = (KeyedNoise(b"secret", at_ms).noisy(counts, scales, "ab") for at_ms in (7, 7, 8))
        >>> bool((first == again).all()), bool((first == later).all()), int(abs(first - counts).max()) < 400
        (True, False, True)
        """
        rows, columns = counts.shape
        data, key = np.ascontiguousarray(counts, "<i8"), self._key + b"%d numbers " % columns
        digests = [
            shake_256(key + data[row].tobytes() + name.encode()).digest(_BYTES * columns)
            for row, name in enumerate(names)
        ]
        integers = np.frombuffer(b"".join(digests), "<u8").reshape(rows, columns)
        normals = ndtri(((integers >> np.uint64(_SHIFT)) + 0.5) / _STEPS)
        noisy: NDArray[np.int64] = counts + np.rint(normals * scales).astype(np.int64)
        return noisy


@lru_cache
def normal_scale(epsilon: float, delta: float) -> float:
    """Return the least standard deviation of normal noise that makes a sum of sensitivity 1 private.

    The analytic Gaussian mechanism (Balle and Wang 2018, theorem 8). The sensitivity is the Euclidean distance of the
    sums with and without a user.

    Args:
        epsilon: The epsilon of the release.
        delta: Its delta.

    >>> round(normal_scale(1.0, 1e-5), 3), round(normal_scale(0.1, 1e-5), 2)
    (3.731, 30.75)
    """
    low, high = 0.0, 1.0
    while _delta_of(high, epsilon) > delta:
        low, high = high, 2.0 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _delta_of(middle, epsilon) > delta else (low, middle)
    return high


def _delta_of(scale: float, epsilon: float) -> float:
    """Return the delta of normal noise at an epsilon, for sensitivity 1."""
    near, far = 0.5 / scale, epsilon * scale
    return math.exp(log_ndtr(near - far)) - math.exp(epsilon + log_ndtr(-near - far))
