"""Exponential decay without a clock: forward decay (Cormode et al., ICDE 2009).

A signal of weight w at time t counts w·exp(rate·t) for good; to read the sum as of now, divide by exp(rate·now). The
order of two sums never depends on now, adding commutes, and nothing is ever swept. Sums are kept as logarithms, since
exp(rate·t) overflows within days at an hourly decay of 0.95.
"""

from __future__ import annotations

import math

HOUR_MS = 3_600_000.0
DAY_MS = 24 * HOUR_MS
EMPTY = -math.inf
"""The logarithm of nothing."""


_MOST_LOG = 700.0
_MOST_HALVINGS = 1_000.0
"""Half-lives that a factor is for at most: a double holds no more."""


def factor(half_lives: float, *, most: float = _MOST_HALVINGS) -> float:
    """Return 2 to the power of a number of half-lives, held between 2^-1000 and 2^most, whatever times it comes from.

    >>> factor(-1.0)
    0.5
    >>> factor(1e12, most=64.0) == 2.0**64
    True
    """
    return math.pow(2.0, max(-_MOST_HALVINGS, min(half_lives, most)))


def rate_of_hourly(share_left: float) -> float:
    """Return the decay rate per ms that leaves `share_left` after an hour."""
    return -math.log(share_left) / HOUR_MS


def rate_of_half_life(days: float) -> float:
    """Return the decay rate per ms of a half-life in days."""
    return math.log(2) / (days * DAY_MS)


def add(log_sum: float, weight: float, *, at_ms: int, rate: float) -> float:
    """Return the logarithm of the sum after a signal of positive weight at a time."""
    return plus(log_sum, math.log(weight) + rate * at_ms)


def plus(log_sum: float, term: float) -> float:
    """Return the logarithm of the sum of two numbers that are given as logarithms."""
    high, low = (log_sum, term) if log_sum > term else (term, log_sum)
    return high + math.log1p(math.exp(low - high)) if low > EMPTY else high


def as_of(log_sum: float, *, at_ms: int, rate: float) -> float:
    """Return the decayed sum itself, as of a time; a sum that would pass the range of a double is held there."""
    return math.exp(min(log_sum - rate * at_ms, _MOST_LOG)) if log_sum > EMPTY else 0.0
