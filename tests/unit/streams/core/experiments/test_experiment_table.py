"""Arms of users at a time: status, time, targeting, layers, shares; and the parameters that follow."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.types import Arm, ArmPause, Experiment, Features
from streams.core.experiments.experiment_table import ExperimentTable
from streams.core.experiments.exposure import ExposureLog, exposure_of
from tests.build import T0_MS, an_experiment, features

USERS = [features(user_id=f"u{number}") for number in range(2_000)]


def table(*experiments: Experiment) -> ExperimentTable:
    experiment_table = ExperimentTable()
    for one in experiments:
        experiment_table.put(one)
    return experiment_table


def a_running(experiment_id: str = "x1", **fields: Any) -> Experiment:
    return an_experiment(experiment_id=experiment_id, status="running", **fields)


def members(experiment_table: ExperimentTable, experiment_id: str, at_ms: int = T0_MS) -> set[str]:
    return {one.user_id for one in USERS if experiment_id in experiment_table.arms(one, at_ms=at_ms)}


@pytest.mark.parametrize("status", ["draft", "paused", "completed"])
def test_only_running_experiments_have_users(status: str) -> None:
    experiments = table(a_running())
    assert len(members(experiments, "x1")) == len(USERS)
    experiments.put(an_experiment(status=status))
    assert not members(experiments, "x1")
    experiments.put(a_running())
    experiments.remove("x1")
    assert not members(experiments, "x1")


def test_the_first_arm_ranks_the_users_of_a_paused_one_and_nobody_else_moves() -> None:
    arms = [Arm(name=name, share=1 / 3, parameters={"EPSILON": f"0.{number}"}) for number, name in enumerate("abc")]
    pause = ArmPause(paused_at=T0_MS, reason="guardrail")
    experiments = table(a_running(arms=arms))
    before = {one.user_id: experiments.arms(one, at_ms=T0_MS) for one in USERS}
    assert all(experiments.active(one) == one for one in before.values())
    experiments.put(a_running(arms=[arms[0], replace(arms[1], pauses=[pause]), arms[2]]))
    assert {one.user_id: experiments.arms(one, at_ms=T0_MS) for one in USERS} == before
    for name, active_arms, epsilon in (("a", {"x1": "a"}, "0.0"), ("b", {}, "0.0"), ("c", {"x1": "c"}, "0.2")):
        assert experiments.active({"x1": name}) == active_arms
        assert experiments.parameters({"x1": name}) == {"EPSILON": epsilon}
    pause = replace(pause, resumed_at=T0_MS + 1)
    experiments.put(a_running(arms=[arms[0], replace(arms[1], pauses=[pause]), arms[2]]))
    assert experiments.active({"x1": "b"}) == {"x1": "b"}
    assert experiments.parameters({"x1": "b"}) == {"EPSILON": "0.1"}


def test_start_and_end_are_times_of_the_stream() -> None:
    experiments = table(a_running(starts_at=T0_MS, ends_at=T0_MS + 10))
    counts = [len(members(experiments, "x1", at_ms)) for at_ms in (T0_MS - 1, T0_MS, T0_MS + 9, T0_MS + 10)]
    assert counts == [0, len(USERS), len(USERS), 0]


def test_no_user_is_in_two_experiments_of_a_layer() -> None:
    first = a_running("a", layer="feed", traffic_to=0.5)
    second = a_running("b", layer="feed", traffic_from=0.5)
    experiments = table(first, second)
    assert members(experiments, "a") | members(experiments, "b") == {one.user_id for one in USERS}
    assert not members(experiments, "a") & members(experiments, "b")
    claimed_twice = table(first, replace(second, traffic_from=0.25))
    assert not members(claimed_twice, "a") & members(claimed_twice, "b")
    assert members(claimed_twice, "a") == members(experiments, "a")


def test_traffic_that_grows_keeps_its_users() -> None:
    few, more = (members(table(a_running(traffic_to=share)), "x1") for share in (0.1, 0.3))
    assert few < more
    assert len(few) / len(USERS) == pytest.approx(0.1, abs=0.03)


def test_layers_overlap_independently() -> None:
    experiments = table(a_running("a"), a_running("b"), a_running("c", layer="l", traffic_to=0.5))
    pairs = Counter((arms["a"], arms["b"]) for one in USERS if (arms := experiments.arms(one, at_ms=T0_MS)))
    assert len(pairs) == 4
    assert min(pairs.values()) > 400


@pytest.mark.parametrize(
    ("targeting", "is_member"),
    [
        ({"city": ["lisbon"]}, True),
        ({"city": ["Porto"]}, False),
        ({"city": ["Porto", "Lisbon"], "interest": ["JAZZ"]}, True),
        ({"city": ["Lisbon"], "segment": ["students"]}, False),
        ({"timezone": ["Europe/Lisbon"]}, True),
        ({"shoe size": ["40"]}, False),
    ],
)
def test_targeting_needs_an_accepted_value_of_every_attribute(targeting: dict[str, list[str]], is_member: bool) -> None:
    user: Features = features(city="Lisbon", preferred=["jazz"], timezone="Europe/Lisbon")
    assert bool(table(a_running(targeting=targeting)).arms(user, at_ms=T0_MS)) is is_member
    assert not table(a_running(targeting={"city": ["Lisbon"]})).arms(features(), at_ms=T0_MS)


def arm(name: str, **parameters: str) -> Arm:
    return Arm(name=name, share=0.5, parameters=parameters)


def test_later_promotions_and_then_the_users_own_arms_have_effect() -> None:
    old = an_experiment(
        experiment_id="z", status="completed", arms=[arm("a", EPSILON="0.1", DIVERSITY_CAP="0.1"), arm("b")]
    )
    new = replace(old, experiment_id="y", arms=[arm("a", EPSILON="0.2", BANDIT_ALPHA="0.2"), arm("b")])
    winners = [replace(old, winner="a", promoted_at=T0_MS), replace(new, winner="a", promoted_at=T0_MS + 1)]
    running = a_running("x", arms=[arm("a", BANDIT_ALPHA="0.3"), arm("b")])
    experiments = table(*winners, running)
    assert experiments.parameters({}) == {"EPSILON": "0.2", "DIVERSITY_CAP": "0.1", "BANDIT_ALPHA": "0.2"}
    assert experiments.parameters({"x": "a"})["BANDIT_ALPHA"] == "0.3"
    assert experiments.parameters({"x": "b"})["BANDIT_ALPHA"] == "0.2"
    experiments.put(new)
    assert experiments.parameters({}) == {"EPSILON": "0.1", "DIVERSITY_CAP": "0.1"}


def test_exposures_are_new_once_by_user_experiment_and_arm() -> None:
    log = ExposureLog(capacity=2)
    first = exposure_of("u1", "x1", "a", defined_at=1, first_at=5)
    assert first.event_id == exposure_of("u1", "x1", "a", defined_at=2, first_at=6).event_id
    ids = {exposure_of(*names, defined_at=1, first_at=1).event_id for names in (("u1", "x1", "b"), ("u2", "x1", "a"))}
    assert len(ids | {first.event_id}) == 3
    assert [log.add(first), log.add(first)] == [True, False]
    log.forget_user("u1")
    assert [log.add(first), log.add(first)] == [True, False]
    for user_id in ("u2", "u3"):
        log.add(exposure_of(user_id, "x1", "a", defined_at=1, first_at=5))
    assert log.add(first)
