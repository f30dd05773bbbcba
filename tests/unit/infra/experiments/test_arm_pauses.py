"""Pauses of arms: by people and by guardrails, within the status of their experiment."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from infra.experiments.arm_pauses import paused_by_guardrails
from infra.experiments.definition import ConflictError, changed
from schemas.arm_pause import MAX_PAUSES, active_from, active_until, first_pause, is_paused
from schemas.limit import OutOfRangeError
from schemas.record_limit import check
from schemas.types import Arm, ArmPause, Experiment
from tests.build import T0_MS, an_experiment

ARMS = [Arm(name=name, share=share) for name, share in (("a", 0.5), ("b", 0.25), ("c", 0.25))]


def a_running(**fields: Any) -> Experiment:
    return an_experiment(**({"status": "running", "arms": ARMS} | fields))


def after(old: Experiment, *paused_arms: str, at_ms: int = 10, **changes: Any) -> Experiment:
    """Return an experiment in which some arms are paused some time after T0."""
    return changed(old, {**changes, "occurred_at": T0_MS + at_ms}, [old], paused_arms=paused_arms)


def test_arms_are_paused_and_resumed_and_remember_when() -> None:
    first = after(a_running(), "b")
    assert [is_paused(arm) for arm in first.arms] == [False, True, False]
    second = after(first, "b", at_ms=20)
    assert second.arms == first.arms
    third = after(second, at_ms=30)
    assert third.arms[1].pauses == [ArmPause(paused_at=T0_MS + 10, resumed_at=T0_MS + 30)]
    assert (active_from(third.arms[1]), active_until(third.arms[1])) == (T0_MS + 30, None)
    fourth = after(third, "b", "c", at_ms=40, status="paused")
    assert [active_until(arm) for arm in fourth.arms] == [None, T0_MS + 40, T0_MS + 40]
    assert (active_from(fourth.arms[1]), active_from(fourth.arms[2])) == (T0_MS + 30, None)
    assert first_pause(fourth) == T0_MS + 10
    assert first_pause(a_running()) is None
    for one in (first, third, fourth):
        check(one, now_ms=T0_MS)


def test_new_shares_keep_pauses() -> None:
    old = after(a_running(), "b")
    shares = [replace(arm, share=1 / 3) for arm in ARMS]
    new = changed(old, {"arms": shares, "occurred_at": T0_MS + 20}, [old])
    assert [(arm.share, is_paused(arm)) for arm in new.arms] == [(1 / 3, False), (1 / 3, True), (1 / 3, False)]
    last = changed(new, {"status": "completed", "occurred_at": T0_MS + 30}, [new])
    changed(last, {"arms": shares, "occurred_at": T0_MS + 40}, [last])


@pytest.mark.parametrize(
    ("fields", "names", "problem"),
    [
        ({}, ["x"], "has no arm 'x'"),
        ({}, ["a"], "stands in for the others"),
        ({}, ["b", "c"], "all arms but the first are paused"),
        ({"status": "draft"}, ["b"], "the experiment is draft"),
        ({"status": "completed"}, [], "the experiment is completed"),
    ],
)
def test_pauses_that_make_no_sense_are_refused(fields: dict[str, Any], names: list[str], problem: str) -> None:
    with pytest.raises(ConflictError, match=problem):
        after(a_running(**fields), *names)


def test_an_arm_is_paused_only_so_often() -> None:
    pauses = [ArmPause(paused_at=number, resumed_at=number) for number in range(MAX_PAUSES)]
    experiment = a_running(arms=[ARMS[0], replace(ARMS[1], pauses=pauses), ARMS[2]])
    check(experiment, now_ms=T0_MS)
    with pytest.raises(ConflictError, match="was paused 50 times already"):
        after(experiment, "b")


def test_guardrails_pause_arms_and_in_the_end_the_experiment() -> None:
    first = paused_by_guardrails(a_running(), {"b": "guardrail: too few clicks"}, now_ms=T0_MS + 5)
    assert (first.status, first.occurred_at) == ("running", T0_MS + 5)
    assert first.arms[1].pauses == [ArmPause(paused_at=T0_MS + 5, reason="guardrail: too few clicks")]
    second = paused_by_guardrails(first, {"c": "guardrail: skips"}, now_ms=T0_MS)
    assert (second.status, second.occurred_at) == ("paused", T0_MS + 6)
    assert [is_paused(arm) for arm in second.arms] == [False, True, True]
    with pytest.raises(ConflictError, match="resume one"):
        changed(second, {"status": "running", "occurred_at": T0_MS + 9}, [second])
    third = after(second, "b", at_ms=20, status="running")
    assert [is_paused(arm) for arm in third.arms] == [False, True, False]


@pytest.mark.parametrize(
    "pauses",
    [
        [ArmPause(paused_at=5, resumed_at=4)],
        [ArmPause(paused_at=5), ArmPause(paused_at=6)],
        [ArmPause(paused_at=5, resumed_at=9), ArmPause(paused_at=8)],
        [ArmPause(paused_at=1, resumed_at=1)] * (MAX_PAUSES + 1),
        [ArmPause(paused_at=1, reason="x" * 100_000)],
    ],
)
def test_records_hold_pauses_in_the_order_of_time(pauses: list[ArmPause]) -> None:
    with pytest.raises(OutOfRangeError, match=r"arms\[b\].pauses"):
        check(a_running(arms=[ARMS[0], replace(ARMS[1], pauses=pauses), ARMS[2]]), now_ms=T0_MS)


def test_records_hold_no_pause_of_the_first_arm() -> None:
    with pytest.raises(OutOfRangeError, match="arms"):
        check(a_running(arms=[replace(ARMS[0], pauses=[ArmPause(paused_at=1)]), *ARMS[1:]]), now_ms=T0_MS)
