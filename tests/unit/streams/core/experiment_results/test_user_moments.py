"""Ratio metrics over users: the delta method and CUPED, held against tea-tasting, resampling and MovieLens."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from loaders.datasets import movielens
from streams.core.experiment_results.user_moments import (
    Numbers,
    UserMoments,
    adjusted_ratio,
    cuped_coefficient,
    ratio,
)

FOLDER = Path(os.environ.get("MOVIELENS_DIR", Path(__file__).parents[7] / "shared" / "data" / "ml-100k"))
"""MovieLens 100K may not be redistributed: where it is not at hand, users are drawn at random."""
EXACT = 1e-9


def totals(arm: int, users: int = 60) -> Numbers:
    """Return the totals of users by a rule without chance: the figures below are of the same."""
    i = np.arange(users) + 1000 * arm
    impressions = 1 + (7 * i) % 11
    clicks = (i * i + 3 * arm) % (impressions + 1)
    before = (5 * i) % 9
    earlier = (clicks + i % 3) % (before + 1)
    return np.stack([clicks, impressions, earlier, before], axis=1).astype(np.float64)


def arms() -> tuple[UserMoments, UserMoments]:
    return UserMoments.of_totals(totals(0)), UserMoments.of_totals(totals(1))


def half_width(*variances: Numbers) -> float:
    return 1.959963984540054 * float(np.sqrt(sum(variances)))


def test_the_delta_method_gives_the_figures_of_tea_tasting() -> None:
    # tea_tasting 1.14.0, RatioOfMeans("clicks", "shown", use_t=False)
    control, treatment = (ratio(one) for one in arms())
    assert control.value == pytest.approx(0.3296398891966759, abs=EXACT)
    assert treatment.value == pytest.approx(0.5041782729805013, abs=EXACT)
    reach = half_width(control.variance, treatment.variance)
    assert treatment.value - control.value - reach == pytest.approx(0.06137132693842606, abs=EXACT)
    relative = half_width(control.log_variance, treatment.log_variance)
    lift = np.log(treatment.value / control.value)
    assert np.expm1(lift - relative) == pytest.approx(0.14069605650334305, abs=EXACT)
    assert np.expm1(lift + relative) == pytest.approx(1.050778678167744, abs=EXACT)


def test_cuped_gives_the_figures_of_tea_tasting() -> None:
    # tea_tasting 1.14.0, RatioOfMeans("clicks", "shown", "earlier", "before", use_t=False)
    both = arms()
    everyone = both[0] + both[1]
    theta = cuped_coefficient(everyone)
    control, treatment = (adjusted_ratio(one, everyone, theta=theta) for one in both)
    assert control.value == pytest.approx(0.3353674475521672, abs=EXACT)
    assert treatment.value == pytest.approx(0.4985223091044537, abs=EXACT)
    reach = half_width(control.variance, treatment.variance)
    assert treatment.value - control.value + reach == pytest.approx(0.2739959304513965, abs=EXACT)
    relative = half_width(control.log_variance, treatment.log_variance)
    assert np.expm1(np.log(treatment.value / control.value) - relative) == pytest.approx(0.11765539127246893, abs=EXACT)


def test_moments_of_parts_add_up_to_those_of_all() -> None:
    parts = arms()
    together, addition = UserMoments.of_totals(np.concatenate([totals(0), totals(1)])), parts[0] + parts[1]
    np.testing.assert_allclose(addition.count, together.count)
    np.testing.assert_allclose(addition.means, together.means, rtol=EXACT)
    np.testing.assert_allclose(addition.covariances, together.covariances, rtol=EXACT, atol=EXACT)


def test_nobody_and_one_user_have_moments_without_a_variance() -> None:
    nobody = UserMoments.of_sums(np.zeros(()), np.zeros(4), np.zeros((4, 4)))
    one = UserMoments.of_totals(np.array([[2.0, 4.0, 0.0, 0.0]]))
    assert ratio(nobody).value == 0
    assert ratio(one).value == 0.5
    assert np.isinf(ratio(one).log_variance)
    assert cuped_coefficient(one) == 0
    np.testing.assert_allclose((nobody + one).means, one.means)


def test_the_variance_is_that_of_resampled_users_not_of_impressions() -> None:
    random = np.random.default_rng(1)
    impressions = 1 + random.poisson(20, 400)
    clicks = random.binomial(impressions, random.beta(0.5, 4.5, 400))
    users = np.stack([clicks, impressions, np.zeros(400), np.ones(400)], axis=1).astype(np.float64)
    draws = random.integers(0, 400, (4_000, 400))
    resamples = users[draws].sum(axis=1)
    estimate = ratio(UserMoments.of_totals(users))
    assert float(estimate.variance) == pytest.approx(float(np.var(resamples[:, 0] / resamples[:, 1])), rel=0.1)
    naive = float(estimate.value * (1 - estimate.value) / impressions.sum())
    assert float(estimate.variance) > 2 * naive


def halves() -> Numbers:
    """Return (users, 4) likes and ratings of the later and of the earlier half of each user's ratings."""
    users: dict[str, list[bool]] = {}
    for one in sorted(movielens.read(FOLDER).interactions, key=lambda one: one.occurred_at):
        users.setdefault(one.user_id, []).append((one.value or 0.0) >= 4)
    rows = [(likes[len(likes) // 2 :], likes[: len(likes) // 2]) for likes in users.values()]
    return np.array([(sum(later), len(later), sum(early), len(early)) for later, early in rows], np.float64)


def simulated_halves() -> Numbers:
    """Return the same of users drawn at random, each with a share of likes that stays."""
    random = np.random.default_rng(2)
    ratings = 10 + random.geometric(0.025, (2, 900))
    likes = random.binomial(ratings, random.beta(2, 2, 900))
    return np.stack([likes[0], ratings[0], likes[1], ratings[1]], axis=1).astype(np.float64)


def test_cuped_cuts_the_variance_by_a_third_where_users_stay_as_they_are() -> None:
    users = UserMoments.of_totals(halves() if FOLDER.is_dir() else simulated_halves())
    adjusted_users = adjusted_ratio(users, users, theta=cuped_coefficient(users))
    assert adjusted_users.value == pytest.approx(float(ratio(users).value))
    assert float(adjusted_users.variance) <= 0.7 * float(ratio(users).variance)
