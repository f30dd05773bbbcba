"""Private counts of users by group: a discrete Laplace mechanism with a threshold, by OpenDP.

A user counts in at most so many groups, once in each. Noise of scale groups/ε is added to each count, in exact integers
from a secure source of randomness (Canonne, Kamath, Steinke 2020). Groups whose noisy count is below the threshold are
left out: that a group exists at all may be the secret of the one user in it (Korolova et al. 2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import cast

import opendp.prelude as dp

from infra.privacy.privacy_budget import PrivacyGuarantee

MECHANISM = "discrete Laplace with a threshold (OpenDP)"
_MARGIN = 1e-9
"""Share by which the scale is larger than it must be, so that rounding does not exceed epsilon."""
_MECHANISMS = 16


def private_counts(counts: Mapping[str, int], guarantee: PrivacyGuarantee, *, min_users: int) -> dict[str, int]:
    """Return the groups and their noisy numbers of users, highest first.

    Args:
        counts: Numbers of users by group; no user counts in more groups than the guarantee says.
        guarantee: The guarantee of the release.
        min_users: Groups below this noisy number are left out, besides those that the guarantee leaves out.
    """
    noisy_counts = _mechanism(guarantee, max(threshold(guarantee), min_users))(dict(counts)) if counts else {}
    return dict(sorted(noisy_counts.items(), key=lambda entry: (-entry[1], entry[0])))


def threshold(guarantee: PrivacyGuarantee) -> int:
    """Return the noisy count below which a group is left out: a group of one user passes with probability δ/groups.

    >>> threshold(PrivacyGuarantee(epsilon=1.0, delta=1e-5)), threshold(PrivacyGuarantee(epsilon=0.1, delta=1e-6))
    (12, 133)
    """
    groups = guarantee.groups_per_user
    scale = groups / guarantee.epsilon * (1.0 + _MARGIN)
    return 1 + math.ceil(scale * math.log(groups / (2.0 * guarantee.delta)))


@lru_cache(_MECHANISMS)
def _mechanism(guarantee: PrivacyGuarantee, lowest: int) -> Callable[[dict[str, int]], dict[str, int]]:
    """Return the mechanism of a guarantee that leaves out noisy counts below `lowest`."""
    dp.enable_features("contrib")  # OpenDP asks to be told that its mechanisms are proven, but not all vetted by others
    groups, scale = guarantee.groups_per_user, guarantee.groups_per_user / guarantee.epsilon * (1.0 + _MARGIN)
    mechanism = dp.m.make_laplace_threshold(
        dp.map_domain(dp.atom_domain(T=str), dp.atom_domain(T="i64")),
        dp.l01inf_distance(dp.absolute_distance(T="i64")),
        scale=scale,
        threshold=lowest,
    )
    epsilon, delta = mechanism.map((groups, groups, 1))
    if epsilon > guarantee.epsilon or delta > guarantee.delta:
        raise ArithmeticError(f"OpenDP derives epsilon {epsilon:g} and delta {delta:g} from the noise")
    return cast("Callable[[dict[str, int]], dict[str, int]]", mechanism)
