"""Sample ratio mismatch: it is found where it is, and seldom where it is not, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from streams.core.experiment_results.sample_ratio import (
    ALARM,
    SAMPLE_USERS,
    Division,
    chi_squared_p,
    mismatch_p,
    sequential_p,
)

EVEN = (0.5, 0.5)


def alarms(share: float, streams: int, *, users: int = SAMPLE_USERS, every: int = 100) -> float:
    """Return the share of streams of which any look gives an alarm.

    Args:
        share: True share of the first of two arms, which should have half of the users.
        streams: Number of streams.
        users: Users of a stream.
        every: Users after whom one looks.
    """
    first = np.random.default_rng(5).binomial(every, share, (streams, users // every)).cumsum(axis=1)
    found_count = 0
    for counts in first.tolist():
        looks = [(one, every * number - one) for number, one in enumerate(counts, 1)]
        sample = looks[SAMPLE_USERS // every - 1]
        found_count += any(
            mismatch_p(Division(look, sample=sample if sum(look) >= SAMPLE_USERS else look), EVEN) <= ALARM
            for look in looks
        )
    return found_count / streams


@pytest.mark.parametrize("counts", [(530, 470), (0, 10), (1, 2, 300)])
def test_the_chi_squared_test_is_that_of_scipy(counts: tuple[int, ...]) -> None:
    shares = [3.0, 2.0, 400.0][: len(counts)]
    expected = np.array(shares) / sum(shares) * sum(counts)
    assert chi_squared_p(counts, shares) == pytest.approx(chisquare(counts, expected).pvalue, abs=1e-12)


def test_the_chi_squared_test_is_that_of_tea_tasting() -> None:
    # tea_tasting 1.14.0, SampleRatio({0: 3, 1: 2}, method="norm", correction=False)
    assert chi_squared_p((530, 470), (3, 2)) == pytest.approx(6.228498769631233e-06, rel=1e-9)


def test_a_mismatch_of_52_to_48_is_found_within_ten_thousand_users() -> None:
    assert alarms(0.52, 400) >= 0.95


@pytest.mark.parametrize(("streams", "users", "every"), [(1_000, 10_000, 100), (300, 200_000, 1_000)])
def test_users_divided_as_defined_seldom_give_an_alarm(streams: int, users: int, every: int) -> None:
    assert alarms(0.5, streams, users=users, every=every) <= ALARM


def test_the_users_who_came_first_are_tested_once_they_are_complete() -> None:
    sample = (5_120, 4_880)
    assert chi_squared_p(sample, EVEN) < 0.7 * ALARM < ALARM < sequential_p((sample, EVEN))
    assert mismatch_p(Division(sample, sample=sample), EVEN) <= ALARM
    assert mismatch_p(Division(sample, sample=(5_119, 4_880)), EVEN) > ALARM
    assert mismatch_p(Division((51_200, 50_880), sample=sample), EVEN) <= ALARM, "the sample stays as it was"


def test_users_after_a_pause_are_divided_among_the_arms_that_are_left() -> None:
    thirds, later = (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 0.0)
    division = Division((500, 500, 500), (3_000, 3_000, 40))
    assert mismatch_p(division, thirds, later_shares=later) == 1.0
    assert mismatch_p(Division((3_500, 3_500, 540)), thirds) <= ALARM
    assert mismatch_p(Division((500, 500, 500), (3_300, 2_700, 0)), thirds, later_shares=later) <= ALARM
    assert mismatch_p(Division((600, 500, 300), (3_000, 3_000, 0)), thirds, later_shares=later) <= ALARM


@pytest.mark.parametrize(("counts", "shares"), [((), ()), ((7,), (1.0,)), ((0, 0), (0.5, 0.5)), ((9, 5), (1.0, 0.0))])
def test_without_two_arms_and_users_nothing_is_mismatched(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    assert chi_squared_p(counts, shares) == 1.0
    assert sequential_p((counts, shares)) == 1.0
