"""Pauses of the arms of experiments. The users of a paused arm are ranked by the first arm, and count for no arm."""

from __future__ import annotations

from schemas.types import Arm, Experiment

MAX_PAUSES = 50
"""Largest number of pauses of an arm."""


def is_paused(arm: Arm) -> bool:
    """Return whether an arm is paused now.

    Args:
        arm: The arm.
    """
    return bool(arm.pauses) and arm.pauses[-1].resumed_at is None


def active_from(arm: Arm) -> int | None:
    """Return the time from which the figures of an arm count: the end of its last pause, in ms since the epoch.

    Args:
        arm: The arm.

    Returns:
        None for an arm whose first pause has not ended: the figures count from the beginning of the experiment.
    """
    return max((pause.resumed_at for pause in arm.pauses if pause.resumed_at is not None), default=None)


def active_until(arm: Arm) -> int | None:
    """Return the time at which a paused arm was paused, in ms since the epoch; None for an arm that is not.

    Args:
        arm: The arm.
    """
    return arm.pauses[-1].paused_at if is_paused(arm) else None


def first_pause(experiment: Experiment) -> int | None:
    """Return the time at which an arm was paused for the first time, in ms since the epoch; None without a pause.

    Args:
        experiment: The experiment.
    """
    return min((arm.pauses[0].paused_at for arm in experiment.arms if arm.pauses), default=None)
