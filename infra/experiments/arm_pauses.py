"""Pauses and resumptions of the arms of an experiment, by people or by a guardrail.

The users of a paused arm are ranked by the first arm and count for none, so the first arm cannot be paused. Without
another arm nothing is compared: the experiment is paused as well.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from schemas.arm_pause import MAX_PAUSES, is_paused
from schemas.types import Arm, ArmPause, Experiment


class ArmPauseError(ValueError):
    """Arms that cannot be paused."""


def with_paused_arms(
    experiment: Experiment, names: Collection[str], *, now_ms: int, reasons: dict[str, str] | None = None
) -> Experiment:
    """Return an experiment in which exactly some arms are paused.

    Args:
        experiment: The definition.
        names: The arms to be paused, old and new ones; the others are resumed.
        now_ms: The time, in ms since the epoch.
        reasons: Reasons of new pauses, by arm.

    Raises:
        ArmPauseError: an arm is unknown, the first one, or was paused too often.
    """
    unknown_names = sorted(set(names) - {arm.name for arm in experiment.arms})
    if unknown_names:
        raise ArmPauseError(f"the experiment has no arm {', '.join(map(repr, unknown_names))}")
    if experiment.arms[0].name in names:
        raise ArmPauseError(f"the first arm {experiment.arms[0].name!r} stands in for the others: pause the experiment")
    arms = [
        _changed(arm, is_to_pause=arm.name in names, now_ms=now_ms, reason=(reasons or {}).get(arm.name, ""))
        for arm in experiment.arms
    ]
    return replace(experiment, arms=arms)


def has_comparison(experiment: Experiment) -> bool:
    """Return whether an arm is left that is compared with the first one."""
    return not all(is_paused(arm) for arm in experiment.arms[1:])


def paused_by_guardrails(experiment: Experiment, reasons: dict[str, str], *, now_ms: int) -> Experiment:
    """Return an experiment without the arms that breach guardrails; it is paused itself if no other arm is left.

    Args:
        experiment: The definition.
        reasons: Reasons by arm.
        now_ms: The time, in ms since the epoch.
    """
    names = {arm.name for arm in experiment.arms if is_paused(arm)} | reasons.keys()
    now_ms = max(now_ms, experiment.occurred_at + 1)
    new = replace(with_paused_arms(experiment, names, now_ms=now_ms, reasons=reasons), occurred_at=now_ms)
    return new if has_comparison(new) else replace(new, status="paused")


def _changed(arm: Arm, *, is_to_pause: bool, now_ms: int, reason: str) -> Arm:
    if is_to_pause == is_paused(arm):
        return arm
    if not is_to_pause:
        pause = arm.pauses[-1]
        return replace(arm, pauses=[*arm.pauses[:-1], replace(pause, resumed_at=max(now_ms, pause.paused_at))])
    if len(arm.pauses) >= MAX_PAUSES:
        raise ArmPauseError(f"the arm {arm.name!r} was paused {MAX_PAUSES} times already")
    started_at = max(now_ms, (arm.pauses[-1].resumed_at or 0) if arm.pauses else 0)
    return replace(arm, pauses=[*arm.pauses, ArmPause(paused_at=started_at, reason=reason)])
