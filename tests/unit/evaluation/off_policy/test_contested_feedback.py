"""Feedback on contested places: another epsilon is evaluated as if it had been in force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.off_policy.cascade import cascade_doubly_robust
from evaluation.off_policy.contested_feedback import EpsilonChange, OutcomeLog
from evaluation.off_policy.estimators import FeedbackError, evaluate_feedback
from infra.settings import Settings
from schemas.types import Outcome
from streams.core.params import ExplorationParams
from streams.core.ranking.stages.exploration import Competitors, epsilon_greedy
from streams.runtime.core_params import exploration_params

LIST = 6
CONTESTED = 4
T0_MS = 1_700_000_000_000


def an_outcome(list_id: int, place: int, **overrides: Any) -> Outcome:
    values: dict[str, Any] = {
        "user_id": f"u{list_id % 300}",
        "outcome_id": f"e{list_id}:{place}",
        "item_id": f"i{place}",
        "place": place,
        "policy": "epsilon-greedy",
        "propensity": 1.0,
        "shown_at": T0_MS,
        "closed_at": T0_MS,
    }
    return Outcome(**(values | overrides))


def params(epsilon: float) -> ExplorationParams:
    return exploration_params(Settings(exploration_policy="epsilon-greedy", epsilon=epsilon))


@pytest.mark.parametrize("new_count", [1, 2, 6])
@pytest.mark.parametrize("best", [0, 1])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.35, 1.0])
def test_the_targets_are_the_propensities_of_the_exploration_stage(new_count: int, best: int, epsilon: float) -> None:
    alphas = np.ones(1 + new_count)
    alphas[best] = 3.0
    competitors = Competitors(alphas, np.ones(1 + new_count))
    before, after = epsilon_greedy(competitors, params(0.1)), epsilon_greedy(competitors, params(epsilon))
    is_possible = before > 0
    targets = EpsilonChange(0.1, epsilon).targets(before[is_possible])
    np.testing.assert_allclose(targets, after[is_possible], atol=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 0.9])
def test_an_epsilon_that_does_not_tell_the_item_in_place_from_new_ones_is_refused(epsilon: float) -> None:
    with pytest.raises(FeedbackError, match=r"above 0 and below 0\.5"):
        EpsilonChange(epsilon, 0.1).targets(np.array([1.0]))


def test_propensities_of_another_epsilon_are_refused() -> None:
    with pytest.raises(
        FeedbackError, match=r"EPSILON=0\.1 does not give the propensities of 2 outcomes, such as 0\.77"
    ):
        EpsilonChange(0.1, 0.3).targets(np.array([1.0, 0.77, 0.9, 0.77]))


def clicks_of(epsilon: float, lists: int, seed: int) -> list[Outcome]:
    """Return the outcomes of lists with a contested place, for which two new items compete that users like more.

    Users read from the top, and stop after a click.
    """
    random = np.random.default_rng(seed)
    new_rate, rate, outcomes = 0.5, 0.1, []
    for number in range(lists):
        is_new = random.random() < epsilon
        has_clicked = False
        for place in range(LIST):
            is_contested = place == CONTESTED
            click = not has_clicked and random.random() < (new_rate if is_contested and is_new else rate)
            has_clicked |= click
            propensity = (epsilon / 2 if is_new else 1 - epsilon) if is_contested else 1.0
            outcomes.append(an_outcome(number, place, propensity=propensity, clicks=int(click)))
    return outcomes


def test_another_epsilon_has_the_value_that_it_earns_where_it_is_in_force() -> None:
    log = OutcomeLog("clicks")
    log.add(clicks_of(0.1, 8_000, seed=1))
    feedback, lists = log.feedback(EpsilonChange(0.1, 0.4))
    report = evaluate_feedback(feedback)
    truth = clicks_of(0.4, 20_000, seed=2)
    place_value = np.mean([one.clicks for one in truth if one.place == CONTESTED])
    list_value = LIST * np.mean([one.clicks for one in truth])
    assert report.rounds == 8_000
    assert report.users == 300
    for estimate in report.estimates.values():
        assert estimate.low < place_value < estimate.high
    by_list = cascade_doubly_robust(lists)
    assert by_list.low < list_value < by_list.high
    assert not report.logged.low < place_value < report.logged.high


def test_the_last_record_of_an_outcome_counts() -> None:
    log = OutcomeLog("conversions")
    log.add([an_outcome(1, 3, propensity=0.9), an_outcome(2, 3, propensity=0.9)])
    log.add([an_outcome(1, 3, propensity=0.9, clicks=2, conversions=1)])
    feedback, _ = log.feedback(EpsilonChange(0.1, 0.2))
    assert sorted(feedback.rewards.tolist()) == [0.0, 1.0]


def test_outcomes_that_tell_nothing_are_left_out_and_named() -> None:
    log = OutcomeLog("clicks")
    log.add(
        [
            an_outcome(1, 0),
            an_outcome(1, 1, propensity=None),
            an_outcome(1, 2, propensity=1.5),
            an_outcome(2, 0, policy="thompson", propensity=0.3),
            an_outcome(3, 0, policy="thompson", propensity=1.0),
        ]
    )
    assert not log.has_contested_places
    assert log.other_counts == {"thompson": 1}
    with pytest.raises(FeedbackError, match="no outcome has a propensity below 1"):
        log.feedback(EpsilonChange(0.1, 0.2))
