"""Results of a shadow: the sums over its comparisons become means and shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.experiment_results import (
    MAX_SHADOW_LABELS,
    OTHER_SHADOW_LABEL,
    ArmFigures,
    ArmShadow,
    ExperimentResults,
    ShadowFigures,
    ShadowShares,
)
from schemas.types import Experiment

Counts = Mapping[str, tuple[float, float]]
"""Numbers of items shown, and of the shadow's items, by label."""


def shadow_figures(rankings: int, sums: Mapping[str, float], counts: Mapping[str, Counts]) -> ShadowFigures:
    """Return the figures of an arm of a shadow within a time.

    Args:
        rankings: Number of comparisons.
        sums: Sums over the comparisons by figure; empty without any.
        counts: Numbers of items by `sources` and `categories`.
    """
    means: dict[str, Any] = {name: value / rankings for name, value in sums.items()}
    shares: dict[str, Any] = {dimension: shadow_shares(by_label) for dimension, by_label in counts.items()}
    return ShadowFigures(rankings=rankings, **means, **shares)


def shadow_shares(counts: Counts) -> list[ShadowShares]:
    """Return the shares of labels, the largest first, and those beyond `MAX_SHADOW_LABELS` as one.

    Args:
        counts: Numbers of items by label.

    >>> [(one.label, one.shown_share, one.shadow_share) for one in shadow_shares({"jazz": (3, 0), "folk": (1, 2)})]
    [('folk', 0.25, 1.0), ('jazz', 0.75, 0.0)]
    """
    totals = [sum(numbers[index] for numbers in counts.values()) or 1.0 for index in (0, 1)]
    shares = [(label, numbers[0] / totals[0], numbers[1] / totals[1]) for label, numbers in counts.items()]
    shares.sort(key=lambda one: (-one[1] - one[2], one[0]))
    rest = shares[MAX_SHADOW_LABELS:]
    if rest:
        other_shares = OTHER_SHADOW_LABEL, sum(one[1] for one in rest), sum(one[2] for one in rest)
        shares = [*shares[:MAX_SHADOW_LABELS], other_shares]
    return [ShadowShares(label=one[0], shown_share=one[1], shadow_share=one[2]) for one in shares]


def shadow_results(experiment: Experiment, arms: Mapping[str, ArmShadow], *, now_ms: int) -> ExperimentResults:
    """Return the results of a shadow. Its first arm is what was shown; no arm has users.

    Args:
        experiment: The definition.
        arms: Figures by arm; those without comparisons are missing.
        now_ms: The time, in ms since the epoch.
    """
    return ExperimentResults(
        experiment_id=experiment.experiment_id,
        computed_at=now_ms,
        since=experiment.starts_at or experiment.occurred_at,
        control=experiment.arms[0].name,
        arms=[
            ArmFigures(name=arm.name, share=arm.share, users=0, metrics={}, shadow=arms.get(arm.name))
            for arm in experiment.arms
        ],
        users_of_several_arms=0,
        sample_ratio_p=1.0,
        has_sample_ratio_mismatch=False,
    )
