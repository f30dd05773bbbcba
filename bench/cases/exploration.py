"""Regret of feeds with and without exploration, in a simulated world with new items (`evaluation.new_item_world`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.rig import OnBenchProgress
from evaluation.new_item_world import regret, world_params
from infra.settings import Settings

SHARE = 0.2
"""The share of a feed that may explore: places 5 and 10 of ten."""
SEEDS = 20
POLICIES = ("none", "thompson", "ucb", "epsilon-greedy")


def measure(
    settings: Settings, *, visits: int, seeds: int = SEEDS, on_progress: OnBenchProgress
) -> dict[str, dict[str, float]]:
    """Return by policy the mean regret of a visit in clicks, and the gain over no exploration with its standard error.

    Args:
        settings: The settings; the policies and their share are those of the case.
        visits: Number of visits in a world.
        seeds: Number of worlds.
        on_progress: Called with the number of worlds done.
    """
    regrets = dict[str, NDArray[np.float64]]()
    for number, policy in enumerate(POLICIES):
        params = world_params(replace(settings, exploration_policy=policy, exploration_share=SHARE))
        values = []
        for seed in range(seeds):
            on_progress(f"visit worlds, policy {policy}", number * seeds + seed, len(POLICIES) * seeds)
            values.append(regret(params, visits=visits, seed=seed))
        regrets[policy] = np.array(values)
    gains = {policy: regrets["none"] - values for policy, values in regrets.items()}
    return {
        policy: {
            "regret": round(float(values.mean()), 4),
            "gain": round(float(gains[policy].mean()), 4),
            "error": round(float(gains[policy].std(ddof=1) / np.sqrt(seeds)), 4),
            "wins": int(np.count_nonzero(gains[policy] > 0)),
            "worlds": seeds,
        }
        for policy, values in regrets.items()
    }
