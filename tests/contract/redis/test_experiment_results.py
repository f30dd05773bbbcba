"""One suite for both stores of the results of experiments."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from domain.experiment_results import ArmFigures, ExperimentResults, MetricFigures
from infra.redis.metrics.experiment_results_store import (
    ExperimentResultsStore,
    MemoryExperimentResultsStore,
    RedisExperimentResultsStore,
)
from tests.build import T0_MS


@pytest.fixture(params=("memory", "redis"))
def store(request: pytest.FixtureRequest, redis: Redis) -> ExperimentResultsStore:
    return MemoryExperimentResultsStore() if request.param == "memory" else RedisExperimentResultsStore(redis)


def results_of(experiment_id: str, *, users: int = 1) -> ExperimentResults:
    figures = MetricFigures(value=0.5, low=None)
    return ExperimentResults(
        experiment_id=experiment_id,
        computed_at=T0_MS,
        since=T0_MS,
        control="a",
        arms=[ArmFigures(name="a", share=1.0, users=users, metrics={"ndcg": figures}, breaches=["ndcg"])],
        users_of_several_arms=2,
        sample_ratio_p=0.5,
        has_sample_ratio_mismatch=False,
    )


async def test_the_last_results_of_an_experiment_hold(store: ExperimentResultsStore) -> None:
    assert await store.read("x1") is None
    await store.write(results_of("x1"))
    await store.write(results_of("x1", users=7))
    assert await store.read("x1") == results_of("x1", users=7)


async def test_results_of_experiments_that_are_gone_go(store: ExperimentResultsStore) -> None:
    await store.keep(["x1"])
    for name in ("x1", "\u00e9 x2", "x3"):
        await store.write(results_of(name))
    await store.keep(["\u00e9 x2", "x4"])
    assert [await store.read(name) for name in ("x1", "x3")] == [None, None]
    assert await store.read("\u00e9 x2") == results_of("\u00e9 x2")
