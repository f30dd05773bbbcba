"""Exponential decay without a clock: forward decay (Cormode et al., ICDE 2009).

A signal of weight w at time t adds w·exp(rate·t) once and for all; the sum as of now is divided by exp(rate·now). The
order of two sums is independent of now, addition commutes, and no periodic sweep is needed. Sums are stored as
logarithms, since exp(rate·t) overflows within days at an hourly decay of 0.95.
"""

from __future__ import annotations

import math

from domain.timestamp import DAY_MS, HOUR_MS

EMPTY = -math.inf
"""The logarithm of an empty sum."""


_MAX_LOG = 700.0
_MAX_HALVINGS = 1_000.0
"""Largest number of half-lives in a factor: the range of a double."""


def factor(half_lives: float, *, max_half_lives: float = _MAX_HALVINGS) -> float:
    """Return 2 to the power of a number of half-lives, clipped to [2^-1000, 2^max_half_lives].

    Args:
        half_lives: The exponent, of any size.
        max_half_lives: Upper bound of the exponent.

    >>> factor(-1.0)
    0.5
    >>> factor(1e12, max_half_lives=64.0) == 2.0**64
    True
    """
    return math.pow(2.0, max(-_MAX_HALVINGS, min(half_lives, max_half_lives)))


def rate_of_hourly(share_left: float) -> float:
    """Return the decay rate per ms that leaves `share_left` after an hour.

    >>> rate = rate_of_hourly(0.5)
    >>> round(as_of(add(EMPTY, 8.0, at_ms=0, rate=rate), at_ms=2 * HOUR_MS, rate=rate), 6)
    2.0
    """
    return -math.log(share_left) / HOUR_MS


def rate_of_half_life(days: float) -> float:
    """Return the decay rate per ms of a half-life in days.

    >>> rate = rate_of_half_life(1.0)
    >>> round(as_of(add(EMPTY, 8.0, at_ms=0, rate=rate), at_ms=int(2 * DAY_MS), rate=rate), 6)
    2.0
    """
    return math.log(2) / (days * DAY_MS)


def add(log_sum: float, weight: float, *, at_ms: int, rate: float) -> float:
    """Return the logarithm of a sum after one more signal.

    Args:
        log_sum: Logarithm of the sum before.
        weight: Weight of the signal, positive.
        at_ms: Time of the signal in ms since the epoch.
        rate: Decay rate per ms.

    >>> rate = rate_of_half_life(1.0)
    >>> early, late = add(EMPTY, 2.0, at_ms=0, rate=rate), add(EMPTY, 1.0, at_ms=DAY_MS, rate=rate)
    >>> round(late - early, 9)  # half as much, a half-life later
    0.0
    """
    return add_log(log_sum, math.log(weight) + rate * at_ms)


def add_log(log_sum: float, term: float) -> float:
    """Return the logarithm of the sum of two numbers.

    Args:
        log_sum: Logarithm of the first.
        term: Logarithm of the second.

    >>> round(math.exp(add_log(math.log(2.0), math.log(3.0))), 9), add_log(EMPTY, EMPTY)
    (5.0, -inf)
    """
    high, low = (log_sum, term) if log_sum > term else (term, log_sum)
    return high + math.log1p(math.exp(low - high)) if low > EMPTY else high


def as_of(log_sum: float, *, at_ms: int, rate: float) -> float:
    """Return the decayed sum as of a time, clipped to the range of a double.

    Args:
        log_sum: Logarithm of the sum.
        at_ms: The time in ms since the epoch.
        rate: Decay rate per ms.

    >>> as_of(EMPTY, at_ms=0, rate=0.1), as_of(math.log(4.0), at_ms=0, rate=0.1)
    (0.0, 4.0)
    """
    return math.exp(min(log_sum - rate * at_ms, _MAX_LOG)) if log_sum > EMPTY else 0.0
