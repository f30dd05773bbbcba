"""Definitions of experiments: legal statuses, what may change when, layers, promotion, and parameters of arms."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from infra.experiments.arm_parameters import ARM_PARAMETERS, UnknownArmParameterError, with_arm_parameters
from infra.experiments.definition import (
    MAX_EXPERIMENTS,
    MAX_RUNNING,
    ConflictError,
    ParameterError,
    changed,
    check_parameters,
    created,
    promoted,
    rolled_back,
)
from infra.settings import Settings, SettingsError, specifications
from schemas.types import Arm, Experiment
from tests.build import T0_MS, an_experiment

STATUSES = ("draft", "running", "paused", "completed")
LEGAL = {
    ("draft", "running"),
    ("draft", "completed"),
    ("running", "paused"),
    ("running", "completed"),
    ("paused", "running"),
    ("paused", "completed"),
}


def after(old: Experiment, *others: Experiment, **changes: Any) -> Experiment:
    return changed(old, {**changes, "occurred_at": T0_MS + 10}, [old, *others])


@pytest.mark.parametrize("old", STATUSES)
@pytest.mark.parametrize("new", STATUSES)
def test_only_legal_statuses_follow(old: str, new: str) -> None:
    experiment = an_experiment(status=old)
    if old == new or (old, new) in LEGAL:
        assert after(experiment, status=new).status == new
    else:
        with pytest.raises(ConflictError, match=f"is {old} cannot become {new}"):
            after(experiment, status=new)


@pytest.mark.parametrize("status", ["paused", "completed"])
def test_a_new_experiment_is_a_draft_or_runs(status: str) -> None:
    with pytest.raises(ConflictError, match="a new experiment cannot become"):
        created(an_experiment(status=status), [])
    assert created(an_experiment(status="running"), []).status == "running"


def test_a_draft_may_be_defined_again_and_a_running_experiment_may_not() -> None:
    draft, new = an_experiment(), an_experiment(salt="s", name="Other", occurred_at=T0_MS + 5)
    assert created(new, [draft]) == new
    with pytest.raises(ConflictError, match="salt cannot change any more: the experiment is running"):
        created(replace(new, status="running"), [replace(draft, status="running")])


@pytest.mark.parametrize(
    "changes", [{"salt": "s"}, {"layer": "l"}, {"targeting": {"city": ["Lisbon"]}}, {"starts_at": T0_MS}]
)
def test_what_gives_users_their_arms_is_fixed_after_the_draft(changes: dict[str, Any]) -> None:
    assert after(an_experiment(), **changes)
    for status in ("running", "paused", "completed"):
        with pytest.raises(ConflictError, match="cannot change any more"):
            after(an_experiment(status=status), **changes)


def test_shares_and_traffic_may_change_while_it_runs_and_parameters_may_not() -> None:
    running = an_experiment(status="running")
    shares = [Arm(name="blend", share=0.9), Arm(name="popular", share=0.1)]
    new = after(running, arms=shares, traffic_to=0.5)
    assert ([arm.share for arm in new.arms], new.traffic_to) == ([0.9, 0.1], 0.5)
    for arms in (
        [Arm(name="blend", share=0.9, parameters={"EPSILON": "1"}), Arm(name="popular", share=0.1)],
        [*shares, Arm(name="third", share=0.0)],
    ):
        with pytest.raises(ConflictError, match="only the shares"):
            after(running, arms=arms)


def test_a_version_is_later_than_the_one_before_whatever_the_clock_says() -> None:
    old = an_experiment(status="running", occurred_at=T0_MS + 1_000)
    assert after(old, name="Other").occurred_at == T0_MS + 1_001
    assert promoted(old, "blend", now_ms=T0_MS).occurred_at == T0_MS + 1_001


def test_experiments_of_a_layer_share_no_bucket_until_one_is_completed() -> None:
    first = an_experiment(experiment_id="a", layer="feed", traffic_to=0.5, status="running")
    second = an_experiment(experiment_id="b", layer="feed", traffic_from=0.5)
    assert created(second, [first]) == second
    assert created(replace(second, layer="other", traffic_from=0.0), [first])
    overlapping = replace(second, traffic_from=0.4)
    with pytest.raises(ConflictError, match=r"buckets 0 to 0\.5 to the experiment 'a'"):
        created(overlapping, [first])
    with pytest.raises(ConflictError, match="layer"):
        after(second, first, traffic_from=0.1)
    assert created(overlapping, [replace(first, status="completed")])


def test_a_shadow_claims_no_bucket_of_a_layer() -> None:
    experiment = an_experiment(experiment_id="a", layer="feed", status="running")
    shadow = an_experiment(experiment_id="b", layer="feed", is_shadow=True)
    assert created(shadow, [experiment]) == shadow
    assert created(experiment, [shadow]) == experiment
    with pytest.raises(ConflictError, match="layer"):
        after(shadow, experiment, is_shadow=False, status="running")


def test_a_shadow_stays_one_and_no_arm_of_it_is_promoted() -> None:
    shadow = an_experiment(is_shadow=True, status="running")
    with pytest.raises(ConflictError, match="is_shadow cannot change any more"):
        after(shadow, is_shadow=False)
    with pytest.raises(ConflictError, match="never shown"):
        promoted(shadow, "popular", now_ms=T0_MS)


def test_there_are_only_so_many_experiments() -> None:
    many = [an_experiment(experiment_id=f"y{number}", status="running") for number in range(MAX_RUNNING)]
    with pytest.raises(ConflictError, match="50 experiments are running already"):
        created(an_experiment(status="running"), many)
    with pytest.raises(ConflictError, match="50 experiments are running already"):
        after(an_experiment(), *many, status="running")
    assert created(an_experiment(), many).status == "draft"
    with pytest.raises(ConflictError, match="1000 experiments already"):
        created(an_experiment(), many * (MAX_EXPERIMENTS // MAX_RUNNING))


def test_a_promotion_completes_and_a_roll_back_takes_the_winner_away() -> None:
    running = an_experiment(status="running")
    winner = promoted(running, "popular", now_ms=T0_MS + 1)
    assert (winner.status, winner.winner, winner.promoted_at) == ("completed", "popular", T0_MS + 1)
    back = rolled_back(winner, now_ms=T0_MS + 2)
    assert (back.status, back.winner, back.promoted_at, back.occurred_at) == ("completed", "", None, T0_MS + 2)
    assert promoted(back, "blend", now_ms=T0_MS + 3).winner == "blend"
    for refusal in (
        lambda: promoted(an_experiment(), "blend", now_ms=T0_MS),
        lambda: promoted(running, "nobody", now_ms=T0_MS),
        lambda: rolled_back(running, now_ms=T0_MS),
    ):
        with pytest.raises(ConflictError):
            refusal()


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    arms = [Arm(name="a", share=0.5), Arm(name="b", share=0.5, parameters={"fresh": "2"})]
    with pytest.raises(ParameterError, match="known are ALLOW_REPEAT_ITEMS, BANDIT_ALPHA") as problem:
        check_parameters(arms, Settings())
    assert (problem.value.field, problem.value.is_unknown) == ("arms[b].parameters.fresh", True)
    with pytest.raises(UnknownArmParameterError):
        with_arm_parameters(Settings(), {"MAX_RECOMMENDATIONS": "10"})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("SERENDIPITY_WEIGHT", "-1", "must be 0 or more"),
        ("SERENDIPITY_WEIGHT", "inf", "must be finite"),
        ("DIVERSITY_CAP", "much", "must be a number"),
        ("EXPLORATION_POLICY", "luck", "must be none, thompson, ucb or epsilon-greedy"),
        ("FEATURE_WEIGHT_FACTORS", "nothing=1", "must be features of"),
        ("FEATURE_WEIGHT_FACTORS", "fresh=nan", "must be features of"),
        ("EPSILON", " ", "must have a value"),
    ],
)
def test_the_settings_refuse_bad_values(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        with_arm_parameters(Settings(), {name: value})
    with pytest.raises(ParameterError, match=problem):
        check_parameters([Arm(name="a", share=1.0, parameters={name: value})], Settings())


def test_the_parameters_of_arms_are_settings() -> None:
    assert set(ARM_PARAMETERS) <= {spec.name.upper() for spec in specifications()}
    assert list(ARM_PARAMETERS) == sorted(ARM_PARAMETERS)
    settings = with_arm_parameters(Settings(), {"SERENDIPITY_WEIGHT": "0.5"})
    assert (settings.serendipity_weight, settings.epsilon) == (0.5, Settings().epsilon)
