"""Sample ratio mismatch: it is found where it is, and seldom where it is not, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from streams.core.experiment_results.sample_ratio import ALARM, chi_squared_p, sequential_p

LOOKS = range(100, 10_001, 100)


def streams(share: float, count: int) -> list[list[tuple[int, int]]]:
    """Return the users of two arms at each of the looks at each stream."""
    draws = np.random.default_rng(5).random((count, LOOKS[-1])) < share
    first = draws.cumsum(axis=1)[:, np.array(LOOKS) - 1]
    return [[(int(one), look - int(one)) for one, look in zip(row, LOOKS, strict=True)] for row in first]


def alarms(share: float, count: int) -> float:
    """Return the share of streams of which any look gives an alarm."""
    return float(
        np.mean([any(sequential_p(one, (0.5, 0.5)) <= ALARM for one in looks) for looks in streams(share, count)])
    )


@pytest.mark.parametrize("counts", [(530, 470), (0, 10), (1, 2, 300)])
def test_the_chi_squared_test_is_that_of_scipy(counts: tuple[int, ...]) -> None:
    shares = [3.0, 2.0, 400.0][: len(counts)]
    expected = np.array(shares) / sum(shares) * sum(counts)
    assert chi_squared_p(counts, shares) == pytest.approx(chisquare(counts, expected).pvalue, abs=1e-12)


def test_the_chi_squared_test_is_that_of_tea_tasting() -> None:
    # tea_tasting 1.14.0, SampleRatio({0: 3, 1: 2}, method="norm", correction=False)
    assert chi_squared_p((530, 470), (3, 2)) == pytest.approx(6.228498769631233e-06, rel=1e-9)


def test_a_mismatch_of_52_to_48_is_found_within_ten_thousand_users() -> None:
    assert chi_squared_p((5200, 4800), (0.5, 0.5)) < ALARM
    assert sequential_p((5200, 4800), (0.5, 0.5)) < ALARM
    assert alarms(0.52, 200) > 0.7


def test_users_divided_as_defined_seldom_give_an_alarm() -> None:
    assert alarms(0.5, 500) <= ALARM


@pytest.mark.parametrize(("counts", "shares"), [((), ()), ((7,), (1.0,)), ((0, 0), (0.5, 0.5)), ((9, 5), (1.0, 0.0))])
def test_without_two_arms_and_users_nothing_is_mismatched(counts: tuple[int, ...], shares: tuple[float, ...]) -> None:
    assert chi_squared_p(counts, shares) == 1.0
    assert sequential_p(counts, shares) == 1.0
