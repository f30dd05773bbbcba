"""Results of an experiment, from the sums over the users of its arms."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from domain.experiment_results import METRICS, ArmFigures, ExperimentResults, guardrail_limits
from infra.settings import SettingsError, read_settings
from schemas.types import Arm, ArmPause
from streams.core.experiment_results.guardrail import Guardrail
from streams.core.experiment_results.results import experiment_results, moments_of_sums
from streams.core.experiment_results.sample_ratio import Division
from streams.core.experiment_results.user_moments import Numbers, UserMoments, ratio
from tests.build import T0_MS, an_experiment

CTR = "click_through_rate"


def users(rate: float, count: int, *, seed: int = 0) -> Numbers:
    """Return clicks and items shown of users, and the same before the experiment, at which all had the same rate."""
    random = np.random.default_rng(seed)
    mood, impressions = random.uniform(0.5, 1.5, count), 10.0 + random.poisson(20, (2, count))
    clicks = random.binomial(impressions.astype(int), np.stack([rate * mood, 0.2 * mood]))
    return np.stack([clicks[0], impressions[0], clicks[1], impressions[1]], axis=1).astype(np.float64)


def results(*arms: tuple[str, float, int], several: int = 0) -> ExperimentResults:
    """Return the results of arms with their names, click-through rates and numbers of users."""
    names = [name for name, _, _ in arms]
    experiment = an_experiment(arms=[Arm(name=name, share=1 / len(names)) for name in names], metric=CTR)
    moments = {
        name: {CTR: UserMoments.of_totals(users(rate, count, seed=number))}
        for number, (name, rate, count) in enumerate(arms)
        if count
    }
    guardrails = [Guardrail(CTR, -0.2), Guardrail("skip_rate", 0.5)]
    return experiment_results(
        experiment, moments, guardrails=guardrails, since_ms=1, now_ms=2, users_of_several_arms=several
    )


def arm(all_results: ExperimentResults, name: str) -> ArmFigures:
    return next(one for one in all_results.arms if one.name == name)


def test_sums_give_the_moments_of_the_users() -> None:
    totals = users(0.2, 50)
    pairs = combinations_with_replacement(range(4), 2)
    sums = [*totals.sum(axis=0), *((totals[:, one] * totals[:, other]).sum() for one, other in pairs)]
    from_sums, direct = moments_of_sums(50, sums), UserMoments.of_totals(totals)
    np.testing.assert_allclose(from_sums.means, direct.means)
    np.testing.assert_allclose(from_sums.covariances, direct.covariances)


def test_a_better_arm_has_a_lift_whose_interval_is_above_zero() -> None:
    found_results = results(("as it is", 0.2, 3_000), ("new", 0.25, 3_000), several=7)
    figures = arm(found_results, "new").metrics[CTR]
    assert found_results.control == "as it is"
    assert found_results.users_of_several_arms == 7
    assert figures.value == pytest.approx(0.25, rel=0.05)
    assert None not in (figures.low, figures.lift_low, figures.lift_high, figures.p_value)
    assert 0 < (figures.lift_low or 0) < 0.25 < (figures.lift_high or 0)
    assert (figures.p_value or 1) < 0.01
    assert not arm(found_results, "new").breaches
    assert arm(found_results, "as it is").metrics[CTR].lift is None
    assert not found_results.has_sample_ratio_mismatch


def test_an_arm_that_is_wholly_beyond_a_guardrail_breaches_it() -> None:
    found_results = results(("as it is", 0.2, 2_000), ("bad", 0.1, 2_000), ("fair", 0.19, 2_000))
    assert arm(found_results, "bad").breaches == [CTR]
    assert not arm(found_results, "fair").breaches


def test_the_time_before_the_experiment_narrows_the_interval() -> None:
    totals = [users(0.2, 2_000, seed=number) for number in (0, 1)]
    without = [np.hstack([one[:, :2], np.zeros((2_000, 1)), np.ones((2_000, 1))]) for one in totals]
    widths = []
    for both in (totals, without):
        moments = {name: {CTR: UserMoments.of_totals(one)} for name, one in zip("ab", both, strict=True)}
        experiment = an_experiment(arms=[Arm(name=name, share=0.5) for name in "ab"])
        figures = experiment_results(experiment, moments, guardrails=(), since_ms=1, now_ms=2).arms[1].metrics[CTR]
        assert figures.lift_low is not None
        assert figures.lift_high is not None
        widths.append(figures.lift_high - figures.lift_low)
        assert figures.value == pytest.approx(float(ratio(moments["b"][CTR]).value))
    assert widths[0] < 0.95 * widths[1]


def test_more_arms_widen_the_intervals() -> None:
    two = results(("a", 0.2, 1_000), ("b", 0.2, 1_000))
    three = results(("a", 0.2, 1_000), ("b", 0.2, 1_000), ("c", 0.2, 0))
    assert (arm(three, "b").metrics[CTR].lift_high or 0) > (arm(two, "b").metrics[CTR].lift_high or 0)


def test_few_users_have_figures_without_intervals() -> None:
    found_results = results(("a", 0.2, 50), ("b", 0.01, 50), ("c", 0.2, 0))
    assert arm(found_results, "b").metrics[CTR].value is not None
    assert arm(found_results, "b").metrics[CTR].lift is None
    assert not arm(found_results, "b").breaches
    assert arm(found_results, "c") == ArmFigures(name="c", share=1 / 3, users=0, metrics={})


def test_without_the_control_arm_nothing_is_compared() -> None:
    found_results = results(("a", 0.2, 0), ("b", 0.2, 500))
    assert arm(found_results, "b").metrics[CTR].lift is None


def test_users_that_are_not_divided_as_defined_give_an_alarm() -> None:
    assert results(("a", 0.2, 2_000), ("b", 0.2, 1_500)).has_sample_ratio_mismatch


def test_a_paused_arm_keeps_its_figures_whatever_the_others_do_without_it() -> None:
    def moments(**rates: tuple[float, int]) -> dict[str, dict[str, UserMoments]]:
        return {
            name: {CTR: UserMoments.of_totals(users(rate, count, seed=seed))}
            for seed, (name, (rate, count)) in enumerate(rates.items())
        }

    pauses = [ArmPause(paused_at=T0_MS, reason="guardrail")]
    arms = [Arm(name="a", share=0.4), Arm(name="b", share=0.3, pauses=pauses), Arm(name="c", share=0.3)]
    until = moments(a=(0.2, 2_000), b=(0.2, 1_500), c=(0.2, 1_500))
    whole = moments(a=(0.3, 8_000), b=(0.2, 1_600), c=(0.3, 6_000))
    division = Division((2_000, 1_500, 1_500), (6_000, 100, 4_500))
    guardrails = [Guardrail(CTR, -0.2)]
    found_results = experiment_results(
        an_experiment(arms=arms),
        whole,
        guardrails=guardrails,
        since_ms=1,
        now_ms=2,
        active_times={"b": until},
        division=division,
    )
    assert [one.users for one in found_results.arms] == [8_000, 1_500, 6_000]
    assert not found_results.arms[1].breaches
    assert (found_results.arms[1].metrics[CTR].lift or 1) == pytest.approx(0, abs=0.05)
    assert found_results.arms[0].metrics[CTR].value == pytest.approx(0.3, rel=0.05)
    assert found_results.sample_ratio_p == 1.0
    without = experiment_results(an_experiment(arms=arms), whole, guardrails=guardrails, since_ms=1, now_ms=2)
    assert without.arms[1].breaches == [CTR]
    assert without.has_sample_ratio_mismatch


def test_guardrails_are_metrics_with_lifts() -> None:
    assert read_settings({"EXPERIMENT_GUARDRAILS": "none"}).experiment_guardrails == "none"
    assert guardrail_limits(f"{CTR}:-0.1,ndcg : 0.2") == {CTR: -0.1, "ndcg": 0.2}
    assert CTR in METRICS


@pytest.mark.parametrize("text", ["sighs:-0.1", CTR, f"{CTR}:0", f"{CTR}:-1", f"{CTR}:nan", f"{CTR}:low"])
def test_guardrails_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="EXPERIMENT_GUARDRAILS"):
        read_settings({"EXPERIMENT_GUARDRAILS": text})


def test_the_times_are_those_given() -> None:
    experiment = an_experiment()
    empty = experiment_results(experiment, {}, guardrails=(), since_ms=T0_MS, now_ms=T0_MS + 1)
    assert (empty.since, empty.computed_at, empty.sample_ratio_p) == (T0_MS, T0_MS + 1, 1.0)
    assert [one.users for one in empty.arms] == [0, 0]
