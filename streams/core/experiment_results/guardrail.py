"""Guardrails: bounds of what an arm may cost.

An arm breaches a guardrail where an always-valid interval of

    value of the arm - (1 + limit) value of the control arm

is wholly beyond 0. The difference is not one of logarithms, as that of lifts: an arm whose items nobody clicks has a
value of 0, and must be found first of all. Where its users all have the same totals they show no variance, so the
variance of each arm is at least the one that it would have at the limit: in proportion to its value, as for counts.

The arms of an experiment have a chance of ALPHA together, whatever their number and that of the guardrails, that one is
ever found to breach a limit that it keeps, however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from schemas.types import Experiment
from streams.core.experiment_results.lift import ALPHA, MIN_USERS, radius
from streams.core.experiment_results.user_moments import (
    RatioEstimate,
    UserMoments,
    adjusted_ratio,
    cuped_coefficient,
)

SCALE = 0.3
"""Difference for which the intervals are made, relative to the value at the limit: guardrails are there for harm."""
_LOOKS = 2
"""Kinds of outcomes that arms are judged by, each with a share of ALPHA: early ones, and those that are closed."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A guardrail that an arm breaches."""

    metric: str
    limit: float
    lift: float
    """Relative difference from the control arm, as it was observed."""
    users: int
    control_users: int

    def __str__(self) -> str:
        """Return the breach in words.

        >>> str(Breach("click_through_rate", -0.2, -0.5, 300, 310))
        'click_through_rate -50% against the first arm, beyond -20% (300 and 310 users)'
        """
        return (
            f"{self.metric} {self.lift:+.0%} against the first arm, beyond {self.limit:+.0%}"
            f" ({self.users:,} and {self.control_users:,} users)"
        )


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A bound of the lift of a metric, beyond which an arm is paused."""

    metric: str
    """Name of the metric."""
    limit: float
    """The lift: one below 0 must not be fallen short of, one above 0 not be exceeded. -0.05 is a loss of 5 %."""

    def breach(self, arm: RatioEstimate, control: RatioEstimate, *, alpha: float) -> Breach | None:
        """Return the breach of an arm; None where it keeps the limit, or there is not enough evidence.

        Args:
            arm: The value of the arm.
            control: The value of the control arm.
            alpha: Probability that an arm at the limit is ever found to be beyond it.

        >>> def rate(value: float) -> RatioEstimate:
        ...     return RatioEstimate(np.array(value), np.array(value / 10_000), np.array(1_000.0))
        >>> guardrail = Guardrail("click_through_rate", -0.2)
        >>> guardrail.breach(rate(0.0), rate(0.1), alpha=0.05) is None
        False
        >>> guardrail.breach(rate(0.09), rate(0.1), alpha=0.05) is None
        True
        """
        if min(arm.count, control.count) < MIN_USERS:
            return None
        difference, variance = relative_difference(arm, control, self.limit)
        distance = -float(difference) if self.limit < 0 else float(difference)
        if not distance > float(radius(variance, alpha=alpha, scale=SCALE)):
            return None
        value = float(control.value)
        lift = float(arm.value) / value - 1.0 if value > 0.0 else math.inf
        return Breach(self.metric, self.limit, lift, round(float(arm.count)), round(float(control.count)))


def relative_difference(arm: RatioEstimate, control: RatioEstimate, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (…) differences of values from a limit, relative to the larger of both, and their variances.

    Args:
        arm: (…) values of the arm.
        control: (…) values of the control arm.
        limit: The limit of the lift.

    Returns:
        The differences, and the variances; these are 0 without any evidence.
    """
    factor = 1.0 + limit
    arm_spread, control_spread = arm.variance * arm.count, control.variance * control.count
    arm_spread, control_spread = (
        np.maximum(arm_spread, factor * control_spread),
        np.maximum(control_spread, arm_spread / factor),
    )
    variance = arm_spread / np.maximum(arm.count, 1.0) + factor**2 * control_spread / np.maximum(control.count, 1.0)
    bound = factor * control.value
    reference = np.maximum(np.abs(arm.value), np.abs(bound))
    is_known = reference > 0.0
    reference = np.where(is_known, reference, 1.0)
    return (arm.value - bound) / reference, np.where(is_known, variance / reference**2, 0.0)


def breaches(
    experiment: Experiment,
    arms: Mapping[str, Mapping[str, UserMoments]],
    guardrails: Collection[Guardrail],
) -> dict[str, list[Breach]]:
    """Return the breaches of the arms of an experiment; its first arm is the control arm, and has none.

    Args:
        experiment: The definition.
        arms: Moments by arm and metric; arms without users are missing.
        guardrails: The bounds of lifts.
    """
    control = experiment.arms[0].name
    others = [arm.name for arm in experiment.arms[1:]]
    if control not in arms or not guardrails:
        return {}
    alpha = ALPHA / len(others) / len(guardrails) / _LOOKS
    found_breaches: dict[str, list[Breach]] = {}
    for guardrail in guardrails:
        moments = {
            name: arms[name][guardrail.metric] for name in (control, *others) if guardrail.metric in arms.get(name, {})
        }
        if control not in moments:
            continue
        everyone = sum((moments[name] for name in others if name in moments), start=moments[control])
        theta = cuped_coefficient(everyone)
        values = {name: adjusted_ratio(one, everyone, theta=theta) for name, one in moments.items()}
        for name in values.keys() - {control}:
            breach = guardrail.breach(values[name], values[control], alpha=alpha)
            if breach is not None:
                found_breaches.setdefault(name, []).append(breach)
    return found_breaches
