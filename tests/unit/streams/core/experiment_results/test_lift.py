"""Always-valid intervals: looked at all the time, they miss the truth as seldom as they say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from streams.core.experiment_results.lift import MIN_USERS, lift, p_value, radius, value_interval
from streams.core.experiment_results.user_moments import Numbers, RatioEstimate, UserMoments, ratio

CHUNK = 100
Looks = Callable[[np.random.Generator, float], RatioEstimate]
"""Returns (streams, looks) the click-through rate of an arm with a lift, at each look at it."""


def new_users(random: np.random.Generator, effect: float, *, users: int = 3_000, every: int = 10) -> RatioEstimate:
    """Return looks after every tenth user, each of whom comes once, for several lists."""
    impressions = 1.0 + random.poisson(9, (CHUNK, users))
    clicks = random.binomial(impressions.astype(int), (1 + effect) * random.beta(2, 18, (CHUNK, users)))
    at = np.arange(MIN_USERS - 1, users, every)
    sums = {name: np.cumsum(one, axis=1)[:, at] for name, one in {"x": clicks, "y": impressions}.items()}
    squares = np.cumsum(clicks * clicks, axis=1)[:, at], np.cumsum(clicks * impressions, axis=1)[:, at]
    return estimate(
        at + 1.0, sums["x"], sums["y"], squares[0], squares[1], np.cumsum(impressions * impressions, axis=1)[:, at]
    )


def returning_users(
    random: np.random.Generator, effect: float, *, users: int = 150, days: int = 40, is_gradual: bool = False
) -> RatioEstimate:
    """Return looks after every day, on which all users come again, or those who have come by then."""
    rates = (1 + effect) * random.beta(1, 9, (CHUNK, users, 1))
    first = random.integers(0, days // 2, (CHUNK, users, 1)) * is_gradual * (np.arange(users)[:, None] >= MIN_USERS)
    impressions = random.poisson(4, (CHUNK, users, days)) * (np.arange(days) >= first)
    clicks = random.binomial(impressions, rates).cumsum(axis=2).astype(np.float64)
    impressions = impressions.cumsum(axis=2).astype(np.float64)
    x, y = clicks.sum(axis=1), impressions.sum(axis=1)
    squares = [(a * b).sum(axis=1) for a, b in ((clicks, clicks), (clicks, impressions), (impressions, impressions))]
    return estimate(np.maximum((impressions > 0).sum(axis=1), MIN_USERS).astype(float), x, y, *squares)


def estimate(count: Numbers, x: Numbers, y: Numbers, xx: Numbers, xy: Numbers, yy: Numbers) -> RatioEstimate:
    """Return the ratio x by y that sums over users give."""
    sums, products = np.zeros((*x.shape, 4)), np.zeros((*x.shape, 4, 4))
    sums[..., 0], sums[..., 1] = x, y
    products[..., 0, 0], products[..., 0, 1], products[..., 1, 0], products[..., 1, 1] = xx, xy, xy, yy
    return ratio(UserMoments.of_sums(np.broadcast_to(count, x.shape), sums, products))


def gradually(random: np.random.Generator, effect: float) -> RatioEstimate:
    return returning_users(random, effect, is_gradual=True)


def differences(looks: Looks, streams: int, effect: float) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield (streams, looks) differences of two arms, one of which has a lift, and their variances."""
    random = np.random.default_rng(3)
    for _ in range(0, streams, CHUNK):
        arm, control = looks(random, effect), looks(random, 0.0)
        yield np.log(arm.value / control.value), arm.log_variance + control.log_variance


@pytest.mark.parametrize(("looks", "streams"), [(new_users, 2_000), (returning_users, 1_000), (gradually, 1_000)])
def test_of_equal_arms_looked_at_all_the_time_at_most_one_in_twenty_differs(looks: Looks, streams: int) -> None:
    positives, naive = 0, 0
    for difference, variance in differences(looks, streams, 0.0):
        positives += int((np.abs(difference) > radius(variance)).any(axis=1).sum())
        naive += int((np.abs(difference) > 1.96 * np.sqrt(variance)).any(axis=1).sum())
    assert positives <= 0.05 * streams
    assert naive > 0.15 * streams, "the looks are too few to tell"


def test_a_difference_of_five_percent_is_found() -> None:
    looks = [
        (np.abs(difference) > radius(variance)).any(axis=1)
        for difference, variance in differences(
            lambda random, effect: new_users(random, effect, users=20_000, every=200), CHUNK, 0.05
        )
    ]
    assert np.concatenate(looks).mean() >= 0.8


def test_the_p_value_is_the_level_whose_interval_just_reaches_zero() -> None:
    difference, variance = np.array(0.12), np.array(0.03**2)
    alpha = float(p_value(difference, variance))
    assert 0 < alpha < 0.05
    assert float(radius(variance, alpha=alpha)) == pytest.approx(0.12, rel=1e-9)
    assert float(p_value(np.array(0.0), variance)) == 1.0


def an_estimate(value: float, se: float, users: int = 5_000) -> RatioEstimate:
    return RatioEstimate(np.array(value), np.array(se**2), np.array(float(users)))


def test_a_lift_is_relative_with_an_interval_around_it() -> None:
    result = lift(an_estimate(0.11, 0.0005), an_estimate(0.10, 0.0005))
    assert result is not None
    assert result.lift == pytest.approx(0.1)
    assert 0 < result.interval.low < 0.1 < result.interval.high
    assert result.interval.excludes(0.0)
    assert result.p_value < 0.01


@pytest.mark.parametrize(
    "arm", [an_estimate(0.1, 0.01, users=99), an_estimate(0.0, 0.0), an_estimate(0.1, 0.0)], ids=str
)
def test_without_evidence_there_is_no_interval(arm: RatioEstimate) -> None:
    assert lift(arm, an_estimate(0.1, 0.001)) is None
    assert value_interval(arm) is None


def test_an_interval_of_a_value_holds_it() -> None:
    interval = value_interval(an_estimate(0.1, 0.002))
    assert interval is not None
    assert interval.low < 0.1 < interval.high
    assert math.sqrt(interval.low * interval.high) == pytest.approx(0.1)
