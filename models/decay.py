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
    """Return the decayed sum itself, as of a time."""
    return math.exp(log_sum - rate * at_ms) if log_sum > EMPTY else 0.0
