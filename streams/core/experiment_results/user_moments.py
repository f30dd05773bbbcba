"""Moments of users' totals, from which ratio metrics and their variances follow by the delta method.

A ratio metric divides the sum of one total by that of another: clicks by impressions, or conversions by users. Its unit
is the user, never the impression: the impressions of one user depend on each other. With the means m and the
covariances S of users' totals, a smooth function f(m) has the variance grad f' S grad f / n (Deng, Knoblich and Lu,
"Applying the delta method in metric analytics", KDD 2018).

CUPED takes from a metric what the time before the experiment tells of it (Deng, Xu, Kohavi and Walker, "Improving the
sensitivity of online controlled experiments by utilizing pre-experiment data", WSDM 2013):

    metric - theta (covariate of the arm - covariate of all),   theta = cov(metric, covariate) / var(covariate)

where the covariate is the same ratio before the experiment, which no arm can have changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
TOTALS = ("numerator", "denominator", "earlier numerator", "earlier denominator")
"""The totals of a user, in this order; the last two are of the time before the experiment."""


@dataclass(frozen=True, slots=True)
class UserMoments:
    """Moments of the totals of users. All arrays may have leading dimensions: several arms, or several looks at one."""

    count: Numbers
    """(…) numbers of users."""
    means: Numbers
    """(…, 4) means of `TOTALS` over the users."""
    covariances: Numbers
    """(…, 4, 4) their covariances, over one less than the users; 0 for fewer than two users."""

    @classmethod
    def of_totals(cls, totals: Numbers) -> UserMoments:
        """Return the moments of users.

        Args:
            totals: (…, users, 4) their `TOTALS`.
        """
        products = np.swapaxes(totals, -1, -2) @ totals
        return cls.of_sums(np.full(totals.shape[:-2], float(totals.shape[-2])), totals.sum(axis=-2), products)

    @classmethod
    def of_sums(cls, count: Numbers, sums: Numbers, products: Numbers) -> UserMoments:
        """Return the moments that sums over users give.

        Args:
            count: (…) numbers of users.
            sums: (…, 4) sums of their totals.
            products: (…, 4, 4) sums of the products of two totals of a user.
        """
        users = np.maximum(count, 1.0)[..., None]
        means = sums / users
        squares = products - sums[..., :, None] * means[..., None, :]
        return cls(count, means, squares / np.maximum(count - 1.0, 1.0)[..., None, None])

    def __add__(self, other: UserMoments) -> UserMoments:
        """Return the moments of the users of both (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        share = (other.count / np.maximum(count, 1.0))[..., None]
        shift = other.means - self.means
        within = (
            self.covariances * np.maximum(self.count - 1.0, 0.0)[..., None, None]
            + other.covariances * np.maximum(other.count - 1.0, 0.0)[..., None, None]
        )
        between = shift[..., :, None] * shift[..., None, :] * (self.count[..., None] * share)[..., None]
        covariances = (within + between) / np.maximum(count - 1.0, 1.0)[..., None, None]
        return UserMoments(count, self.means + share * shift, covariances)


@dataclass(frozen=True, slots=True)
class RatioEstimate:
    """Values of a ratio metric, of one arm or several."""

    value: Numbers
    """(…) values; 0 where nobody has a denominator."""
    variance: Numbers
    """(…) variances of the values, those of estimates and not of users."""
    count: Numbers
    """(…) numbers of users."""

    @property
    def log_variance(self) -> Numbers:
        """Return (…) the variances of the logarithms of the values; infinite where there is none."""
        is_known = (self.value > 0.0) & (self.variance > 0.0)
        return np.where(is_known, self.variance / np.where(is_known, self.value, 1.0) ** 2, np.inf)


def ratio(moments: UserMoments) -> RatioEstimate:
    """Return the values of the metric as they were observed.

    Args:
        moments: (…) the moments of each arm.
    """
    return adjusted_ratio(moments, moments, theta=np.zeros(moments.count.shape))


def cuped_coefficient(everyone: UserMoments) -> Numbers:
    """Return (…) theta, the weight of the covariate; 0 where the time before the experiment tells nothing.

    Args:
        everyone: (…) the moments of the users of all arms together.
    """
    gradient, earlier = _gradient(everyone.means, 0), _gradient(everyone.means, 2)
    variance = _form(earlier, everyone.covariances, earlier)
    covariance = _form(gradient, everyone.covariances, earlier)
    is_known = variance > 0.0
    return np.where(is_known, covariance / np.where(is_known, variance, 1.0), 0.0)


def adjusted_ratio(moments: UserMoments, everyone: UserMoments, *, theta: Numbers) -> RatioEstimate:
    """Return the values of the metric, less what the time before the experiment tells of them (CUPED).

    Args:
        moments: (…) the moments of each arm.
        everyone: (…) the moments of the users of all arms together.
        theta: (…) `cuped_coefficient`.
    """
    gradient = _gradient(moments.means, 0) - theta[..., None] * _gradient(moments.means, 2)
    value = _ratio_of_means(moments.means, 0)
    value = value - theta * (_ratio_of_means(moments.means, 2) - _ratio_of_means(everyone.means, 2))
    variance = _form(gradient, moments.covariances, gradient) / np.maximum(moments.count, 1.0)
    return RatioEstimate(value, np.maximum(variance, 0.0), moments.count)


def _ratio_of_means(means: Numbers, first: int) -> Numbers:
    is_known = means[..., first + 1] > 0.0
    return np.where(is_known, means[..., first] / np.where(is_known, means[..., first + 1], 1.0), 0.0)


def _gradient(means: Numbers, first: int) -> Numbers:
    """Return (…, 4) the derivatives of a ratio of two neighbours among the means by all means."""
    gradient = np.zeros(means.shape)
    is_known = means[..., first + 1] > 0.0
    denominator = np.where(is_known, means[..., first + 1], 1.0)
    gradient[..., first] = np.where(is_known, 1.0 / denominator, 0.0)
    gradient[..., first + 1] = np.where(is_known, -means[..., first] / denominator**2, 0.0)
    return gradient


def _form(one: Numbers, covariances: Numbers, other: Numbers) -> Numbers:
    """Return (…) one' S other."""
    return np.asarray(np.einsum("...i,...ij,...j->...", one, covariances, other), np.float64)
