"""Lifts: relative differences of arms from the control arm, with intervals that hold at all times at once.

An interval of the usual kind holds at one time that was fixed before. Who looks every minute and stops at the first
difference finds one where there is none. An always-valid interval (confidence sequence) covers the truth at all times
together with the probability 1 - alpha, so that one may look, and stop, at will. It inverts the mixture sequential
probability ratio test, whose prior of the difference is N(0, scale^2) (Robbins 1970; Johari, Koomen, Pekelis and Walsh,
"Always valid inference", Operations Research 2022). With the standard error s of an estimate it reaches from it by

    s sqrt((1 + s^2 / scale^2) ln((1 + scale^2 / s^2) / alpha^2))

With estimated variances it holds asymptotically (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central
limit theory and asymptotic confidence sequences", Annals of Statistics 2024), hence the least number of users.

The difference is that of logarithms: a lift of 5 % is the same for clicks and for purchases, so one scale fits all
metrics. Few users with rare outcomes have a standard error far above the scale, and so very wide intervals.

Users come back, and their totals grow while they are looked at. For users with rates of their own who are all there
from the start, the covariance of two estimates is the variance of the later one, as it is where only users are added;
this is all that the intervals need (Jennison and Turnbull, "Group-sequential analysis incorporating covariate
information", JASA 1997). Where users are added and come back as well, it holds nearly. The tests simulate all three.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streams.core.experiment_results.user_moments import Numbers, RatioEstimate

ALPHA = 0.05
"""Probability that an interval misses the truth at any time."""
SCALE = 0.1
"""Lift for which the intervals are made: at a standard error of some 4 %, they reach the fewest standard errors."""
MIN_USERS = 100
"""Users of an arm before which there is no interval."""


@dataclass(frozen=True, slots=True)
class AlwaysValidInterval:
    """An always-valid interval."""

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Return whether a value is outside."""
        return value < self.low or value > self.high


@dataclass(frozen=True, slots=True)
class Lift:
    """The relative difference of an arm from the control arm: 0.05 is 5 % more."""

    lift: float
    interval: AlwaysValidInterval
    p_value: float
    """An always-valid p-value: the chance that it ever falls to p or below without a difference is p at most."""


def radius(variance: Numbers, *, alpha: float = ALPHA, scale: float = SCALE) -> Numbers:
    """Return (…) the distance from an estimate to the ends of its always-valid interval; infinite for no evidence.

    Args:
        variance: (…) variances of the estimates.
        alpha: Probability that the interval misses the truth at any time.
        scale: The difference for which the interval is made.

    >>> round(float(radius(np.array(0.03**2))), 4)
    0.0912
    """
    is_known = np.isfinite(variance) & (variance > 0.0)
    variance_or_1 = np.where(is_known, variance, 1.0)
    evidence = scale**2 / variance_or_1
    return np.where(
        is_known, np.sqrt(variance_or_1 * (1.0 + 1.0 / evidence) * np.log((1.0 + evidence) / alpha**2)), np.inf
    )


def p_value(difference: Numbers, variance: Numbers, *, scale: float = SCALE) -> Numbers:
    """Return (…) the always-valid p-values of differences: the alpha whose intervals just reach 0.

    Args:
        difference: (…) the differences.
        variance: (…) their variances.
        scale: The difference for which the test is made.
    """
    is_known = np.isfinite(variance) & (variance > 0.0)
    variance_or_1 = np.where(is_known, variance, 1.0)
    evidence = scale**2 / variance_or_1
    log_ratio = difference**2 / (2.0 * variance_or_1) * evidence / (1.0 + evidence) - 0.5 * np.log1p(evidence)
    return np.where(is_known, np.exp(-np.maximum(log_ratio, 0.0)), 1.0)


def value_interval(estimate: RatioEstimate, *, alpha: float = ALPHA) -> AlwaysValidInterval | None:
    """Return the always-valid interval of the value of one arm; None where there is not enough evidence.

    Args:
        estimate: The value of one arm.
        alpha: Probability that the interval misses the truth at any time.
    """
    if not _is_enough(estimate):
        return None
    value, reach = float(estimate.value), float(radius(estimate.log_variance, alpha=alpha))
    return AlwaysValidInterval(value * math.exp(-reach), value * math.exp(reach))


def lift(arm: RatioEstimate, control: RatioEstimate, *, alpha: float = ALPHA) -> Lift | None:
    """Return the lift of an arm over the control arm; None where there is not enough evidence.

    Args:
        arm: The value of the arm.
        control: The value of the control arm.
        alpha: Probability that the interval misses the truth at any time.
    """
    if not (_is_enough(arm) and _is_enough(control)):
        return None
    difference = np.log(arm.value / control.value)
    variance = arm.log_variance + control.log_variance
    reach = radius(variance, alpha=alpha)
    low, middle, high = (math.expm1(float(one)) for one in (difference - reach, difference, difference + reach))
    return Lift(middle, AlwaysValidInterval(low, high), float(p_value(difference, variance)))


def _is_enough(estimate: RatioEstimate) -> bool:
    return bool(estimate.count >= MIN_USERS and np.isfinite(estimate.log_variance))
