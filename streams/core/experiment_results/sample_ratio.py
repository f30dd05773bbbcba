"""Sample ratio mismatch: the users of the arms are not divided as the definition says.

It is the sign of a broken assignment or of lost outcomes, after which no other figure can be trusted (Fabijan et al.,
"Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import chdtrc, gammaln

ALARM = 0.01
"""Sequential p-value from which on there is an alarm."""
_PRIOR_USERS = 1_000.0
"""Weight of the shares of the definition in the prior, in users: deviations of some 1.6 percentage points of a half."""


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


def sequential_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return a p-value that holds at all times at once.

    It is the inverse of a Bayes factor that compares shares drawn from a Dirichlet distribution around those of the
    definition with those of the definition (Lindon and Malek, "Anytime-valid inference for multinomial count data",
    NeurIPS 2022).

    Args:
        counts: Users of each arm.
        shares: Shares of each arm; they need not add up to 1.

    >>> sequential_p([5300, 4700], [0.5, 0.5]) < ALARM < sequential_p([5050, 4950], [0.5, 0.5])
    True
    """
    users, expected = _expected(counts, shares)
    if len(users) < 2 or not users.sum():
        return 1.0
    fractions = expected / expected.sum()
    prior = _PRIOR_USERS * fractions
    log_factor = (
        gammaln(_PRIOR_USERS)
        - gammaln(_PRIOR_USERS + users.sum())
        + (gammaln(prior + users) - gammaln(prior) - users * np.log(fractions)).sum()
    )
    return float(np.exp(-max(log_factor, 0.0)))


def _expected(counts: Sequence[int], shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the users of arms with a share, and as many users divided by the shares."""
    users, weights = np.array(counts, np.float64), np.array(shares, np.float64)
    users, weights = users[weights > 0], weights[weights > 0]
    return users, users.sum() * weights / weights.sum() if len(weights) else weights
