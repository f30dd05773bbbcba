"""Keyed noise: normal, repeatable with the key, and independent where anything differs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from streams.core.item.keyed_noise import KeyedNoise, normal_scale

NAMES = [f"i{number}" for number in range(4_000)]
COUNTS = np.full((len(NAMES), 2), 5, np.int64)
SCALES = np.array([10.0, 100.0])


def test_the_noise_is_normal_with_its_scales() -> None:
    noise = KeyedNoise(b"secret", 1).noisy(COUNTS, SCALES, NAMES) - COUNTS
    for column, scale in zip(noise.T, SCALES, strict=True):
        assert stats.kstest(column / scale, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("secret", "at_ms", "more", "prefix"),
    [(b"other", 1, 0, ""), (b"secret", 2, 0, ""), (b"secret", 1, 1, ""), (b"secret", 1, 0, "other ")],
)
def test_another_key_time_number_or_name_has_other_noise(secret: bytes, at_ms: int, more: int, prefix: str) -> None:
    first = KeyedNoise(b"secret", 1).noisy(COUNTS, SCALES, NAMES) - COUNTS
    counts = COUNTS + more
    second = KeyedNoise(secret, at_ms).noisy(counts, SCALES, [prefix + name for name in NAMES]) - counts
    assert abs(np.corrcoef(first[:, 1], second[:, 1])[0, 1]) < 0.06


def test_the_same_release_has_the_same_noise_whatever_else_is_released() -> None:
    every = KeyedNoise(b"secret", 1).noisy(COUNTS, SCALES, NAMES)
    some = KeyedNoise(b"secret", 1).noisy(COUNTS[:10], SCALES, NAMES[90:100])
    assert (some == every[90:100]).all()


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0, 5.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
def test_the_scale_is_the_least_that_keeps_the_promise(epsilon: float, delta: float) -> None:
    scale = normal_scale(epsilon, delta)
    for factor, keeps in ((1.0, True), (0.999, False)):
        smaller = scale * factor
        # The outputs above a point are where the probabilities with and without the user differ most.
        cut = epsilon * smaller**2 + 0.5
        excess = stats.norm.sf(cut, 1.0, smaller) - math.exp(epsilon) * stats.norm.sf(cut, 0.0, smaller)
        assert (excess <= delta * (1 + 1e-6)) == keeps
