"""Results of an experiment: the sums over its users become figures with intervals, alarms and breaches.

An arm that was ever paused is compared with the control arm over the time in which it was active last, so that what the
control arm does without it does not change its figures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations_with_replacement

import numpy as np

from domain.experiment_results import ArmFigures, ExperimentResults, MetricFigures
from schemas.types import Arm, Experiment
from streams.core.experiment_results.guardrail import Breach, Guardrail, breaches
from streams.core.experiment_results.lift import ALPHA, Lift, lift, value_interval
from streams.core.experiment_results.sample_ratio import ALARM, Division, mismatch_p
from streams.core.experiment_results.user_moments import (
    TOTALS,
    RatioEstimate,
    UserMoments,
    adjusted_ratio,
    cuped_coefficient,
    ratio,
)

ArmMoments = Mapping[str, Mapping[str, UserMoments]]
"""Moments of users by arm and metric; arms without users are missing."""
_PAIRS = tuple(combinations_with_replacement(range(len(TOTALS)), 2))


def moments_of_sums(users: int, sums: Sequence[float]) -> UserMoments:
    """Return the moments of an arm in a metric.

    Args:
        users: Number of users.
        sums: Sums of the four totals, then of the products of two, as `combinations_with_replacement` orders them.
    """
    products = np.zeros((len(TOTALS), len(TOTALS)))
    for (row, column), value in zip(_PAIRS, sums[len(TOTALS) :], strict=True):
        products[row, column] = products[column, row] = value
    return UserMoments.of_sums(np.array(float(users)), np.array(sums[: len(TOTALS)]), products)


def experiment_results(
    experiment: Experiment,
    arms: ArmMoments,
    *,
    guardrails: Collection[Guardrail],
    since_ms: int,
    now_ms: int,
    users_of_several_arms: int = 0,
    active_times: Mapping[str, ArmMoments] | None = None,
    division: Division | None = None,
) -> ExperimentResults:
    """Return the results of an experiment. Its first arm is the control arm.

    With several arms besides it, each interval of a lift has a share of the probability of missing the truth, so that
    all intervals of a metric hold together (Bonferroni).

    Args:
        experiment: The definition.
        arms: Moments of the whole time of the experiment.
        guardrails: The bounds of lifts.
        since_ms: Time of the first outcome that counts, in ms since the epoch.
        now_ms: The time, in ms since the epoch.
        users_of_several_arms: Users who count in no arm.
        active_times: Moments of all arms in the time in which an arm was active, for each arm that was ever paused.
        division: How the users are divided among the arms; by default as `arms` says.
    """
    whole = _Comparison(experiment, arms, guardrails)
    comparisons = {name: _Comparison(experiment, moments, guardrails) for name, moments in (active_times or {}).items()}
    shares = [arm.share for arm in experiment.arms]
    p = mismatch_p(
        division or Division([whole.users(arm) for arm in experiment.arms]),
        shares,
        later_shares=[0.0 if arm.pauses else arm.share for arm in experiment.arms],
    )
    return ExperimentResults(
        experiment_id=experiment.experiment_id,
        computed_at=now_ms,
        since=since_ms,
        control=experiment.arms[0].name,
        metric=experiment.metric,
        arms=[comparisons.get(arm.name, whole).figures(arm) for arm in experiment.arms],
        users_of_several_arms=users_of_several_arms,
        sample_ratio_p=p,
        has_sample_ratio_mismatch=p <= ALARM,
    )


class _Comparison:
    """The arms of an experiment compared with its control arm over some time."""

    def __init__(self, experiment: Experiment, arms: ArmMoments, guardrails: Collection[Guardrail]) -> None:
        control = experiment.arms[0].name
        alpha = ALPHA / max(1, len(experiment.arms) - 1)
        self._arms = {arm.name: arms[arm.name] for arm in experiment.arms if arm.name in arms}
        self._values: dict[str, dict[str, RatioEstimate]] = {}
        self._lifts: dict[str, dict[str, Lift | None]] = {}
        self._breaches: dict[str, list[Breach]] = breaches(experiment, arms, guardrails)
        for metric in dict.fromkeys(name for metrics in self._arms.values() for name in metrics):
            moments = {name: metrics[metric] for name, metrics in self._arms.items()}
            everyone = sum(list(moments.values())[1:], start=next(iter(moments.values())))
            theta = cuped_coefficient(everyone)
            adjusted_values = {name: adjusted_ratio(one, everyone, theta=theta) for name, one in moments.items()}
            self._values[metric] = {name: ratio(one) for name, one in moments.items()}
            self._lifts[metric] = {
                name: lift(estimate, adjusted_values[control], alpha=alpha)
                for name, estimate in adjusted_values.items()
                if name != control and control in adjusted_values
            }

    def users(self, arm: Arm) -> int:
        """Return the number of users of an arm."""
        metrics = self._arms.get(arm.name)
        return round(float(next(iter(metrics.values())).count)) if metrics else 0

    def figures(self, arm: Arm) -> ArmFigures:
        """Return the figures of an arm."""
        return ArmFigures(
            name=arm.name,
            share=arm.share,
            users=self.users(arm),
            metrics={
                metric: _figures(estimates[arm.name], self._lifts[metric].get(arm.name))
                for metric, estimates in self._values.items()
                if arm.name in estimates
            },
            breaches=[breach.metric for breach in self._breaches.get(arm.name, [])],
        )


def _figures(estimate: RatioEstimate, result: Lift | None) -> MetricFigures:
    interval = value_interval(estimate)
    return MetricFigures(
        value=float(estimate.value),
        low=None if interval is None else _finite(interval.low),
        high=None if interval is None else _finite(interval.high),
        lift=None if result is None else _finite(result.lift),
        lift_low=None if result is None else _finite(result.interval.low),
        lift_high=None if result is None else _finite(result.interval.high),
        p_value=None if result is None else result.p_value,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
