"""Noise of private releases: an attacker who knows everybody else learns no more of a person than epsilon allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from infra.privacy.privacy_budget import PrivacyGuarantee
from infra.privacy.private_counts import private_counts, threshold

TRIALS = 10_000
CONFIDENCE = 0.999


def sums(guarantee: PrivacyGuarantee, *, is_member: bool, others: int) -> NDArray[np.float64]:
    """Return the sum of the released counts of the groups of a person, for each trial; 0 for those left out."""
    counts = {f"group {number}": others + is_member for number in range(guarantee.groups_per_user)}
    return np.array(
        [sum(private_counts(counts, guarantee, min_users=1).values()) for _ in range(TRIALS // 2)], np.float64
    )


def least_epsilon(members: NDArray[np.float64], strangers: NDArray[np.float64], delta: float) -> float:
    """Return the epsilon that the best attack by a threshold proves, with confidence (Clopper and Pearson 1934)."""
    best = 0.0
    for cut in np.unique(np.concatenate([members, strangers])):
        for hits, false_alarms in (
            (np.count_nonzero(members >= cut), np.count_nonzero(strangers >= cut)),
            (np.count_nonzero(strangers < cut), np.count_nonzero(members < cut)),
        ):
            trials = TRIALS // 2
            low = stats.beta.ppf(1 - CONFIDENCE, hits, trials - hits + 1) if hits else 0.0
            high = stats.beta.ppf(CONFIDENCE, false_alarms + 1, trials - false_alarms)
            if low > delta:
                best = max(best, math.log((low - delta) / high))
    return best


@pytest.mark.parametrize(("epsilon", "groups_per_user"), [(1.0, 1), (0.5, 1), (1.0, 4)])
def test_membership_inference_proves_no_more_than_epsilon(epsilon: float, groups_per_user: int) -> None:
    guarantee = PrivacyGuarantee(epsilon=epsilon, delta=1e-5, groups_per_user=groups_per_user)
    members, strangers = (sums(guarantee, is_member=is_member, others=300) for is_member in (True, False))
    proof = least_epsilon(members, strangers, guarantee.delta)
    assert epsilon / 8 < proof <= epsilon, "the attack is no weak one, and finds no more than epsilon"


def test_the_attack_finds_noise_that_is_too_small() -> None:
    promise, small = PrivacyGuarantee(epsilon=0.5, delta=1e-5), PrivacyGuarantee(epsilon=2.0, delta=1e-5)
    members, strangers = (sums(small, is_member=is_member, others=300) for is_member in (True, False))
    assert least_epsilon(members, strangers, promise.delta) > promise.epsilon


def test_a_group_of_one_user_is_left_out() -> None:
    guarantee = PrivacyGuarantee(epsilon=1.0, delta=1e-5)
    assert all(not private_counts({"rare": 1}, guarantee, min_users=1) for _ in range(1_000))
    assert not private_counts({}, guarantee, min_users=1)


def test_large_groups_are_released_close_to_their_counts_and_none_is_below_the_smallest_number() -> None:
    counts = {f"g{number}": 50 * number for number in range(100)}
    guarantee = PrivacyGuarantee(epsilon=1.0, delta=1e-5)
    release = private_counts(counts, guarantee, min_users=200)
    assert set(release) >= {f"g{number}" for number in range(6, 100)}
    assert min(release.values()) >= 200
    assert list(release.values()) == sorted(release.values(), reverse=True)
    errors = [abs(release[name] - counts[name]) for name in release]
    assert np.mean(errors) < 3.0
    assert max(errors) < 60


@pytest.mark.parametrize("groups_per_user", [1, 10, 100])
@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_opendp_derives_the_guarantee_from_the_threshold(epsilon: float, groups_per_user: int) -> None:
    guarantee = PrivacyGuarantee(epsilon=epsilon, delta=1e-6, groups_per_user=groups_per_user)
    assert threshold(guarantee) > 1
    assert not private_counts({"rare": 1}, guarantee, min_users=1)
