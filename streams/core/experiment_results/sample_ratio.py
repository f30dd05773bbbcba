"""Sample ratio mismatch: the users of the arms are not divided as the definition says.

It is the sign of a broken assignment or of lost outcomes, after which no other figure can be trusted (Fabijan et al.,
"Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, gammaln

ALARM = 0.05
"""P-value from which on there is an alarm: the chance of a false one at any time in the life of an experiment."""
SAMPLE_USERS = 10_000
"""Number of users who came first, among whom one test is planned."""
_SAMPLE_SHARE = 0.7
"""Share of the level of the planned test; the sequential test at all times has the rest."""
_PRIOR_USERS = 1_000.0
"""Weight of the shares of the definition in the prior, in users: deviations of some 1.6 percentage points of a half."""


@dataclass(frozen=True, slots=True)
class Division:
    """Numbers of users of the arms of an experiment, each in the order of the arms."""

    before: Sequence[int]
    """Users who came before the first pause of an arm; all users without a pause."""
    after: Sequence[int] = ()
    """Users who came later."""
    sample: Sequence[int] = ()
    """Those of the first `SAMPLE_USERS` users before a pause; fewer as long as fewer have come."""


def mismatch_p(division: Division, shares: Sequence[float], *, later_shares: Sequence[float] = ()) -> float:
    """Return a p-value of the division of the users that holds at all times at once.

    It is the smaller one of two, each by its share of the level: that of the sequential test at any time, and that of
    the chi-squared test of the users who came first, which is made once. A single test of a number of users that was
    fixed before finds smaller deviations among them than any test that may be made at every number.

    Args:
        division: The numbers of users.
        shares: Shares of each arm; they need not add up to 1.
        later_shares: The same for users who came after the first pause: 0 for arms that were ever paused.

    >>> mismatch_p(Division((5_200, 4_800), sample=(5_200, 4_800)), [0.5, 0.5]) < ALARM
    True
    """
    p = sequential_p((division.before, shares), (division.after, later_shares)) / (1.0 - _SAMPLE_SHARE)
    if sum(division.sample) >= SAMPLE_USERS:
        p = min(p, chi_squared_p(division.sample, shares) / _SAMPLE_SHARE)
    return min(p, 1.0)


def chi_squared_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the p-value of Pearson's chi-squared test, which holds at one time that was fixed before.

    Args:
        counts: Users of each arm.
        shares: Shares of each arm; they need not add up to 1.

    >>> round(chi_squared_p([5200, 4800], [0.5, 0.5]), 6)
    6.3e-05
    """
    users, expected = _expected(counts, shares)
    if len(users) < 2 or not users.sum():
        return 1.0
    statistic = ((users - expected) ** 2 / expected).sum()
    return float(chdtrc(len(users) - 1, statistic))


def sequential_p(*divisions: tuple[Sequence[int], Sequence[float]]) -> float:
    """Return a p-value that holds at all times at once.

    It is the inverse of a Bayes factor that compares shares drawn from a Dirichlet distribution around those of the
    definition with those of the definition (Lindon and Malek, "Anytime-valid inference for multinomial count data",
    NeurIPS 2022). The factors of users who were divided one after the other in different ways are multiplied.

    Args:
        divisions: Users of each arm, and shares of each arm, which need not add up to 1, for all users who were divided
            in the same way.

    >>> sequential_p(([5300, 4700], [0.5, 0.5])) < 0.01 < sequential_p(([5050, 4950], [0.5, 0.5]))
    True
    """
    return math.exp(-max(sum(_log_factor(counts, shares) for counts, shares in divisions), 0.0))


def _log_factor(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the logarithm of the Bayes factor of users; 0 without two arms and users."""
    if not sum(counts):
        return 0.0
    users, expected = _expected(counts, shares)
    if len(users) < 2 or not users.sum():
        return 0.0
    fractions = expected / expected.sum()
    prior = _PRIOR_USERS * fractions
    return float(
        gammaln(_PRIOR_USERS)
        - gammaln(_PRIOR_USERS + users.sum())
        + (gammaln(prior + users) - gammaln(prior) - users * np.log(fractions)).sum()
    )


def _expected(counts: Sequence[int], shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the users of arms with a share, and as many users divided by the shares."""
    users, weights = np.array(counts, np.float64), np.array(shares, np.float64)
    users, weights = users[weights > 0], weights[weights > 0]
    return users, users.sum() * weights / weights.sum() if len(weights) else weights
