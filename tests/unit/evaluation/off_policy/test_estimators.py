"""Off-policy estimators: the figures of the Open Bandit Pipeline, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.off_policy.cascade import ListFeedback, cascade_doubly_robust
from evaluation.off_policy.estimators import (
    Feedback,
    FeedbackError,
    doubly_robust,
    evaluate_feedback,
    ips,
    snips,
)

EXACT = 1e-9
ROUNDS, ACTIONS = 50, 3


def shares(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / values.sum(axis=-1, keepdims=True))


def columns() -> tuple[np.ndarray, ...]:
    """Return rewards, propensities, targets, estimates and expectations by a rule without chance.

    The figures below are those that obp 0.5.7 gives for the same rounds.
    """
    i, actions = np.arange(ROUNDS), np.arange(ACTIONS)
    action = (i * i + i // 3) % ACTIONS
    rewards = ((i * 7 + action * 3) % 5 == 0).astype(np.float64)
    logging = shares(1.0 + (i[:, None] * (actions + 2)) % 7)
    target = shares(1.0 + ((i[:, None] * 3 + actions * 5) % 4) ** 2)
    model = ((i[:, None] + 2 * actions) % 10) / 10.0
    return rewards, logging[i, action], target[i, action], model[i, action], (target * model).sum(axis=1)


def feedback(**changes: np.ndarray) -> Feedback:
    rewards, propensities, targets, estimates, expectations = columns()
    values = {
        "users": np.arange(ROUNDS),
        "rewards": rewards,
        "propensities": propensities,
        "targets": targets,
        "estimates": estimates,
        "expectations": expectations,
    }
    return Feedback(**(values | changes))


@pytest.mark.parametrize(
    ("estimate", "max_weight", "value"),
    [
        (ips, np.inf, 0.22985412626589097),  # obp.ope.InverseProbabilityWeighting
        (ips, 1.5, 0.15424057315233786),
        (snips, np.inf, 0.2055150014692331),  # obp.ope.SelfNormalizedInverseProbabilityWeighting
        (doubly_robust, np.inf, 0.12090578808446456),  # obp.ope.DoublyRobust
        (doubly_robust, 1.5, 0.17348852887308766),
    ],
)
def test_the_values_are_those_of_the_open_bandit_pipeline(estimate: object, max_weight: float, value: float) -> None:
    assert callable(estimate)
    result = estimate(feedback(), max_weight=max_weight)
    assert result.value == pytest.approx(value, abs=EXACT)
    assert result.low < result.value < result.high


def lists() -> ListFeedback:
    return ListFeedback(np.arange(ROUNDS // 2), *(column.reshape(-1, 2) for column in columns()))


def test_the_value_of_lists_is_that_of_the_open_bandit_pipeline() -> None:
    # obp.ope.SlateCascadeDoublyRobust
    assert cascade_doubly_robust(lists(), max_weight=np.inf).value == pytest.approx(0.4562275910364146, abs=EXACT)


def test_lists_of_one_place_have_the_value_of_the_doubly_robust_estimator() -> None:
    one_place = ListFeedback(np.arange(ROUNDS), *(column[:, None] for column in columns()))
    assert cascade_doubly_robust(one_place) == doubly_robust(feedback())


def simulated(random: np.random.Generator, *, users: int = 200, rounds: int = 5) -> tuple[Feedback, float]:
    """Return the feedback of users with moods of their own on three items, and the true value of another policy."""
    users_of = np.repeat(np.arange(users), rounds)
    moods = random.uniform(-0.09, 0.09, users)[users_of]
    rates, logging, target = np.array([0.1, 0.3, 0.6]), np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    model = np.array([0.2, 0.25, 0.5])
    actions = random.choice(3, len(users_of), p=logging)
    rewards = (random.random(len(users_of)) < rates[actions] + moods).astype(np.float64)
    expectations = np.full(len(users_of), float(target @ model))
    data = Feedback(users_of, rewards, logging[actions], target[actions], model[actions], expectations)
    return data, float(target @ rates)


def test_doubly_robust_intervals_hold_the_truth() -> None:
    random = np.random.default_rng(11)
    hits = {"ips": 0, "snips": 0, "dr": 0}
    for _ in range(500):
        data, truth = simulated(random)
        for name, estimate in evaluate_feedback(data).estimates.items():
            hits[name] += estimate.low <= truth <= estimate.high
    assert hits["dr"] >= 0.93 * 500
    assert min(hits.values()) >= 0.92 * 500


def test_a_model_narrows_the_interval() -> None:
    data, _ = simulated(np.random.default_rng(4))
    assert doubly_robust(data).high - doubly_robust(data).low < ips(data).high - ips(data).low


def test_intervals_are_those_of_users_not_of_rounds() -> None:
    many = feedback(users=np.arange(ROUNDS) // 10)
    repeats = [np.repeat(column, 4) for column in columns()]
    alike = Feedback(np.repeat(np.arange(ROUNDS), 4), *repeats)
    apart = Feedback(np.arange(4 * ROUNDS), *repeats)
    assert ips(many).value == pytest.approx(ips(feedback()).value)
    assert ips(alike).high - ips(alike).low == pytest.approx(ips(feedback()).high - ips(feedback()).low)
    assert ips(apart).high - ips(apart).low < 0.6 * (ips(alike).high - ips(alike).low)


def test_the_report_says_how_much_the_log_tells() -> None:
    same = evaluate_feedback(feedback(targets=columns()[1]))
    assert same.effective_rounds == pytest.approx(ROUNDS)
    assert same.estimates["ips"].value == pytest.approx(same.logged.value)
    assert (same.clipped_share, same.clipped_weight) == (0.0, 0.0)
    rare = np.full(ROUNDS, 0.01)
    clipped_report = evaluate_feedback(feedback(propensities=rare, targets=np.full(ROUNDS, 0.5)), max_weight=20)
    assert clipped_report.clipped_share == 1.0
    assert clipped_report.clipped_weight == pytest.approx(0.6)
    assert (clipped_report.rounds, clipped_report.users) == (ROUNDS, ROUNDS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"propensities": np.zeros(ROUNDS)}, "propensities: must be above 0"),
        ({"targets": np.full(ROUNDS, 1.1)}, "targets: must be from 0 to 1"),
        ({"rewards": np.full(ROUNDS, np.nan)}, "rewards: must be finite"),
        ({"estimates": np.zeros(3)}, "estimates: 3 values for 50 rounds"),
    ],
)
def test_feedback_out_of_range_is_refused(changes: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(FeedbackError, match=problem):
        feedback(**changes)


def test_without_feedback_on_the_policy_nothing_is_estimated() -> None:
    nothing = np.zeros(0)
    with pytest.raises(FeedbackError, match="no feedback"):
        evaluate_feedback(Feedback(np.zeros(0, np.intp), nothing, nothing, nothing, nothing, nothing))
    with pytest.raises(FeedbackError, match="shows none"):
        evaluate_feedback(feedback(targets=np.zeros(ROUNDS)))
    with pytest.raises(FeedbackError, match="no feedback"):
        cascade_doubly_robust(ListFeedback(np.zeros(0, np.intp), *(np.zeros((0, 2)) for _ in range(5))))
    with pytest.raises(FeedbackError, match="each place"):
        ListFeedback(np.arange(3), *(np.ones((2, 2)) for _ in range(5)))
