"""Guardrails: harm is found soon, and an arm that keeps the limit is seldom paused, however often one looks."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.types import Arm
from streams.core.experiment_results.guardrail import SCALE, Breach, Guardrail, breaches, relative_difference
from streams.core.experiment_results.lift import ALPHA, MIN_USERS, radius
from streams.core.experiment_results.user_moments import Numbers, RatioEstimate, UserMoments, ratio
from tests.build import an_experiment

CTR, LIMIT = "click_through_rate", -0.2
STREAMS, USERS, EVERY = 1_000, 3_000, 10
AT = np.arange(MIN_USERS - 1, USERS, EVERY)
"""Indexes of the users after whom one looks."""


def looks(random: np.random.Generator, rate: float, *, impressions: int, streams: int) -> RatioEstimate:
    """Return (streams, looks) click-through rates of users who differ in their own rates."""
    items = 1.0 + random.poisson(impressions - 1, (streams, USERS))
    clicks = random.binomial(items.astype(int), random.beta(2, 2 / rate - 2, items.shape) if rate else np.zeros(1))
    totals = np.stack([clicks, items, np.zeros_like(items), np.ones_like(items)], axis=-1).astype(np.float64)
    sums = totals.cumsum(axis=1)[:, AT]
    products = np.zeros((*sums.shape, 4))
    for row in (0, 1):
        for column in (0, 1):
            products[..., row, column] = (totals[..., row] * totals[..., column]).cumsum(axis=1)[:, AT]
    return ratio(UserMoments.of_sums(np.broadcast_to(AT + 1.0, sums.shape[:-1]), sums, products))


def users_until_breach(
    arm_rate: float, control_rate: float, *, limit: float, impressions: int = 10, streams: int = STREAMS
) -> Numbers:
    """Return the users of each arm at the first look that finds a breach, by stream; infinite without one."""
    random, chunks = np.random.default_rng(11), []
    for _ in range(0, streams, 100):
        arm = looks(random, arm_rate, impressions=impressions, streams=100)
        control = looks(random, control_rate, impressions=impressions, streams=100)
        difference, variance = relative_difference(arm, control, limit)
        is_beyond = np.sign(limit) * difference > radius(variance, alpha=ALPHA / 2, scale=SCALE)
        chunks.append(np.where(is_beyond.any(axis=1), AT[is_beyond.argmax(axis=1)] + 1.0, np.inf))
    return np.concatenate(chunks)


@pytest.mark.parametrize(("rate", "impressions"), [(0.1, 10), (0.02, 3)])
@pytest.mark.parametrize("limit", [LIMIT, 0.5])
def test_an_arm_at_the_limit_is_seldom_beyond_it_at_any_of_300_looks(
    rate: float, impressions: int, limit: float
) -> None:
    counts = users_until_breach((1 + limit) * rate, rate, limit=limit, impressions=impressions)
    assert np.isfinite(counts).mean() <= ALPHA / 2


def test_an_arm_like_the_control_arm_is_never_beyond_a_loss_of_a_fifth() -> None:
    assert np.isfinite(users_until_breach(0.1, 0.1, limit=LIMIT)).mean() <= 0.001


def test_an_arm_whose_items_nobody_clicks_is_found_among_the_first_users() -> None:
    counts = users_until_breach(0.0, 0.1, limit=LIMIT, streams=200)
    assert np.quantile(counts, 0.95) <= 1.5 * MIN_USERS


def test_half_of_the_clicks_are_found_missing_among_some_hundred_users() -> None:
    counts = users_until_breach(0.05, 0.1, limit=LIMIT, streams=200)
    assert np.median(counts) <= 800
    assert np.quantile(counts, 0.9) <= 1_500


def moments(rate: float, users: int = 400, *, seed: int = 1) -> dict[str, UserMoments]:
    """Return the moments of users with 20 impressions each."""
    clicks = np.random.default_rng(seed).binomial(20, rate, users)
    totals = np.stack([clicks, np.full(users, 20), np.zeros(users), np.ones(users)], axis=-1)
    return {CTR: UserMoments.of_totals(totals.astype(np.float64))}


def test_breaches_name_arm_metric_and_figures() -> None:
    experiment = an_experiment(arms=[Arm(name=name, share=0.25) for name in ("as it is", "bad", "good", "rare")])
    arms = {"as it is": moments(0.2), "bad": moments(0.0), "good": moments(0.21, seed=2), "rare": moments(0.0, 99)}
    guardrails = [Guardrail(CTR, LIMIT), Guardrail("skip_rate", 0.5)]
    assert breaches(experiment, arms, guardrails) == {"bad": [Breach(CTR, LIMIT, -1.0, 400, 400)]}
    assert breaches(experiment, {name: arms[name] for name in ("bad", "good")}, guardrails) == {}
    assert breaches(experiment, arms, []) == {}


@pytest.mark.parametrize(("limit", "value", "is_breached"), [(-0.2, 0.1, True), (-0.2, 0.3, False), (0.5, 0.4, True)])
def test_the_sign_of_the_limit_is_the_direction_of_harm(limit: float, value: float, is_breached: bool) -> None:
    experiment = an_experiment(arms=[Arm(name=name, share=0.5) for name in "ab"])
    arms = {"a": moments(0.2), "b": moments(value, seed=2)}
    assert bool(breaches(experiment, arms, [Guardrail(CTR, limit)])) is is_breached


def test_harm_that_the_control_arm_never_does_is_found() -> None:
    experiment = an_experiment(arms=[Arm(name=name, share=0.5) for name in "ab"])
    found_breaches = breaches(experiment, {"a": moments(0.0), "b": moments(0.3)}, [Guardrail(CTR, 0.5)])
    assert str(found_breaches["b"][0]) == (
        "click_through_rate +inf% against the first arm, beyond +50% (400 and 400 users)"
    )
    assert breaches(experiment, {"a": moments(0.0), "b": moments(0.0)}, [Guardrail(CTR, 0.5)]) == {}
