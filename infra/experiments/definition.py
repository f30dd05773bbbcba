"""Definitions of experiments: creation, changes and promotions, as the API and the command line allow them.

    draft ──▶ running ◀──▶ paused ──▶ completed ──▶ promoted ──▶ rolled back
      │          └───────────────────────▲
      └──────────────────────────────────┘

A draft may change in all its fields. While users are assigned, only the shares, the traffic, the end and the labels
may, and arms may be paused and resumed, so that arms keep their meaning. Functions return a new definition, whose
`occurred_at` is its version.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from infra.experiments.arm_parameters import UnknownArmParameterError, with_arm_parameters
from infra.experiments.arm_pauses import ArmPauseError, has_comparison, with_paused_arms
from infra.settings import Settings, SettingsError
from schemas.types import Arm, Experiment

NEXT_STATUSES: Mapping[str, frozenset[str]] = {
    "": frozenset({"draft", "running"}),
    "draft": frozenset({"draft", "running", "completed"}),
    "running": frozenset({"running", "paused", "completed"}),
    "paused": frozenset({"paused", "running", "completed"}),
    "completed": frozenset({"completed"}),
}
"""Legal statuses after a status; the empty one is that before the definition."""
_CHANGEABLE = {
    "draft": frozenset(Experiment.__struct_fields__) - {"experiment_id", "winner", "promoted_at"},
    "running": frozenset(
        {"name", "description", "metric", "arms", "traffic_from", "traffic_to", "ends_at", "status", "occurred_at"}
    ),
    "completed": frozenset({"name", "description", "occurred_at"}),
}
_CLAIM = frozenset({"layer", "traffic_from", "traffic_to"})
"""Fields that say which buckets an experiment has."""
_CHANGEABLE["paused"] = _CHANGEABLE["running"]


MAX_EXPERIMENTS, MAX_RUNNING = 1_000, 50
"""Largest numbers of experiments: of all, and of those that every ranking looks at."""


class ParameterError(ValueError):
    """A parameter of an arm that cannot be used."""

    def __init__(self, field: str, problem: str, *, is_unknown: bool) -> None:
        """Create the error.

        Args:
            field: The field of the definition.
            problem: The problem.
            is_unknown: Whether arms have no such parameter; otherwise its value is refused.
        """
        self.field, self.problem, self.is_unknown = field, problem, is_unknown
        super().__init__(f"{field}: {problem}")


class ConflictError(ValueError):
    """A definition that its own status, or another experiment of its layer, does not allow."""


def check_parameters(arms: Sequence[Arm], settings: Settings) -> None:
    """Check the parameters of arms.

    Args:
        arms: The arms.
        settings: The settings that they are to replace.

    Raises:
        ParameterError: one is unknown, or its value cannot be used.
    """
    for arm in arms:
        field = f"arms[{arm.name}].parameters"
        try:
            with_arm_parameters(settings, arm.parameters)
        except UnknownArmParameterError as error:
            raise ParameterError(f"{field}.{error.name}", str(error), is_unknown=True) from error
        except SettingsError as error:
            raise ParameterError(field, "; ".join(error.problems), is_unknown=False) from error


def created(new: Experiment, others: Sequence[Experiment]) -> Experiment:
    """Return a new experiment, or a changed draft of the same id.

    Args:
        new: The definition.
        others: The present definitions.

    Raises:
        ConflictError: the status is none to begin with, the experiment has left its draft, or its layer is taken.
    """
    old = next((one for one in others if one.experiment_id == new.experiment_id), None)
    if old is not None:
        return changed(old, {name: getattr(new, name) for name in _CHANGEABLE["draft"]}, others)
    if len(others) >= MAX_EXPERIMENTS:
        raise ConflictError(f"there are {len(others)} experiments already")
    _check_transition("", new.status)
    _check_start(new, others)
    _check_layer(new, others)
    return new


def changed(
    old: Experiment,
    changes: Mapping[str, Any],
    others: Sequence[Experiment],
    *,
    paused_arms: Collection[str] | None = None,
) -> Experiment:
    """Return an experiment with changes, `occurred_at` among them.

    Args:
        old: The present definition.
        changes: New values by field; equal ones change nothing. Arms keep their pauses.
        others: The present definitions.
        paused_arms: The arms that are paused from now on, while the others are resumed; None changes no pause.

    Raises:
        ConflictError: the status does not allow it, the layer is taken, or arms cannot be paused.
    """
    new = replace(old, **{**changes, "occurred_at": _version(old, changes["occurred_at"])})
    _check_transition(old.status, new.status)
    new = _with_pauses(old, new, paused_arms)
    fields = {name for name in changes if getattr(new, name) != getattr(old, name)}
    fixed_fields = sorted(fields - _CHANGEABLE[old.status])
    if fixed_fields:
        raise ConflictError(f"{', '.join(fixed_fields)} cannot change any more: the experiment is {old.status}")
    if old.status != "draft" and _meaning(new) != _meaning(old):
        raise ConflictError(f"only the shares of arms can change: the experiment is {old.status}")
    is_start = new.status == "running" != old.status
    if is_start:
        _check_start(new, others)
    if is_start or fields & _CLAIM:
        _check_layer(new, others)
    return new


def promoted(old: Experiment, arm: str, *, now_ms: int) -> Experiment:
    """Return an experiment, completed, whose arm is the default for all users.

    Args:
        old: The present definition.
        arm: The name of the arm.
        now_ms: The time, in ms since the epoch.

    Raises:
        ConflictError: the experiment has not run, is a shadow, or has no such arm.
    """
    if old.status == "draft":
        raise ConflictError("the experiment has not run: it is a draft")
    if old.is_shadow:
        raise ConflictError("the arms of a shadow were never shown: run an experiment of them first")
    if arm not in {one.name for one in old.arms}:
        raise ConflictError(f"the experiment has no arm {arm!r}, only {', '.join(one.name for one in old.arms)}")
    return replace(old, status="completed", winner=arm, promoted_at=now_ms, occurred_at=_version(old, now_ms))


def rolled_back(old: Experiment, *, now_ms: int) -> Experiment:
    """Return an experiment without its winner.

    Args:
        old: The present definition.
        now_ms: The time, in ms since the epoch.

    Raises:
        ConflictError: no arm is promoted.
    """
    if not old.winner:
        raise ConflictError("no arm of the experiment is promoted")
    return replace(old, winner="", promoted_at=None, occurred_at=_version(old, now_ms))


def _version(old: Experiment, now_ms: int) -> int:
    """Return the version of a definition, in ms since the epoch: later than the one before, whatever the clock says."""
    return max(now_ms, old.occurred_at + 1)


def _with_pauses(old: Experiment, new: Experiment, paused_arms: Collection[str] | None) -> Experiment:
    """Return an experiment whose arms have the pauses of the definition before, and those that change now."""
    pauses = {arm.name: arm.pauses for arm in old.arms}
    new = replace(new, arms=[replace(arm, pauses=pauses.get(arm.name, [])) for arm in new.arms])
    if paused_arms is not None:
        if old.status not in ("running", "paused"):
            raise ConflictError(f"arms can neither be paused nor resumed: the experiment is {old.status}")
        try:
            new = with_paused_arms(new, paused_arms, now_ms=new.occurred_at)
        except ArmPauseError as error:
            raise ConflictError(str(error)) from error
    if new.status == "running" and not has_comparison(new):
        raise ConflictError("all arms but the first are paused: resume one, or pause the experiment")
    return new


def _meaning(experiment: Experiment) -> dict[str, dict[str, str]]:
    return {arm.name: arm.parameters for arm in experiment.arms}


def _check_transition(old: str, new: str) -> None:
    if new not in NEXT_STATUSES[old]:
        legal = ", ".join(sorted(NEXT_STATUSES[old] - {old}))
        start = f"an experiment that is {old}" if old else "a new experiment"
        raise ConflictError(f"{start} cannot become {new}" + (f", only {legal}" if legal else ""))


def _check_start(new: Experiment, others: Sequence[Experiment]) -> None:
    running_count = sum(one.status == "running" for one in others)
    if new.status == "running" and running_count >= MAX_RUNNING:
        raise ConflictError(f"{running_count} experiments are running already")


def _check_layer(new: Experiment, others: Sequence[Experiment]) -> None:
    """Check that an experiment shares no bucket with another one of its layer that is not completed; shadows may."""
    if not new.layer or new.is_shadow or new.status == "completed":
        return
    for one in others:
        if (
            one.experiment_id != new.experiment_id
            and not one.is_shadow
            and one.layer == new.layer
            and one.status != "completed"
            and one.traffic_from < new.traffic_to
            and new.traffic_from < one.traffic_to
        ):
            raise ConflictError(
                f"the layer {new.layer!r} gives buckets {one.traffic_from:g} to {one.traffic_to:g} to the experiment "
                f"{one.experiment_id!r}; choose traffic_from and traffic_to beside them"
            )
