from __future__ import annotations

from domain.experiment_results import (
    ArmFigures,
    ArmShadow,
    ExperimentResults,
    MetricFigures,
    ShadowFigures,
    ShadowShares,
)
from infra.redis.metrics.experiment_results_store import MemoryExperimentResultsStore
from streams.core.experiment_results.shadow_results import shadow_results
from tests.build import T0_MS, an_experiment
from tests.unit.api.builder import World


async def test_the_results_of_an_experiment_are_shown_with_their_intervals() -> None:
    store = MemoryExperimentResultsStore()
    figures = MetricFigures(value=0.2, low=0.1, high=0.4, lift=0.05, lift_low=-0.1, lift_high=0.2, p_value=0.7)
    await store.write(
        ExperimentResults(
            experiment_id="x1",
            computed_at=T0_MS,
            since=T0_MS - 1,
            control="blend",
            arms=[ArmFigures(name="blend", share=1.0, users=300, metrics={"click_through_rate": figures})],
            users_of_several_arms=0,
            sample_ratio_p=1.0,
            has_sample_ratio_mismatch=False,
        )
    )
    async with World(clients={"experiment_results": store}).http() as http:
        response = await http.get("/ab/experiments/x1/results")
    assert response.status_code == 200
    body = response.json()
    assert (body["control"], body["arms"][0]["users"]) == ("blend", 300)
    assert body["arms"][0]["metrics"]["click_through_rate"]["lift_high"] == 0.2


async def test_the_results_of_a_shadow_are_shown_with_its_figures() -> None:
    store = MemoryExperimentResultsStore()
    figures = ShadowFigures(
        rankings=2, overlap=0.5, sources=[ShadowShares(label="fresh", shown_share=0.1, shadow_share=0.4)]
    )
    shadow = ArmShadow(last_hour=ShadowFigures(rankings=0), total=figures)
    await store.write(shadow_results(an_experiment(is_shadow=True), {"popular": shadow}, now_ms=T0_MS))
    async with World(clients={"experiment_results": store}).http() as http:
        arms = (await http.get("/ab/experiments/x1/results")).json()["arms"]
    assert [arm["name"] for arm in arms] == ["blend", "popular"]
    total = arms[1]["shadow"]["total"]
    assert (total["rankings"], total["overlap@10"], total["ranking_ms"]) == (2, 0.5, None)
    assert total["sources"] == [{"label": "fresh", "shown_share": 0.1, "shadow_share": 0.4}]
    assert (arms[0]["shadow"], arms[1]["shadow"]["last_hour"]["overlap@10"]) == (None, None)


async def test_an_experiment_without_results_is_404() -> None:
    async with World().http() as http:
        response = await http.get("/ab/experiments/x9/results")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_results")
