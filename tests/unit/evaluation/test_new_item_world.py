"""A simulated world with new items: the gain of each policy, by a few worlds of `millrace bench exploration`."""

import numpy as np
import pytest

from evaluation.new_item_world import regret, world_params
from infra.settings import read_settings
from streams.core.params import RankParams

SEEDS, VISITS = 6, 600


def with_policy(policy: str) -> RankParams:
    return world_params(read_settings({"EXPLORATION_POLICY": policy, "EXPLORATION_SHARE": "0.2"}))


def regrets(params: RankParams) -> list[float]:
    return [regret(params, visits=VISITS, seed=seed) for seed in range(SEEDS)]


@pytest.fixture(scope="module")
def greedy() -> list[float]:
    return regrets(with_policy("none"))


@pytest.mark.parametrize("policy", ["thompson", "ucb", "epsilon-greedy"])
def test_exploration_loses_fewer_clicks_than_a_feed_of_what_is_known(policy: str, greedy: list[float]) -> None:
    assert np.mean(regrets(with_policy(policy))) < np.mean(greedy)


def test_a_world_is_the_same_for_the_same_seed() -> None:
    params = with_policy("thompson")
    first = regret(params, visits=30, seed=1)
    assert first == regret(params, visits=30, seed=1) != regret(params, visits=30, seed=2)


def test_a_world_without_visits_to_new_items_has_regret() -> None:
    assert regret(with_policy("none"), visits=5, seed=0) > 0
