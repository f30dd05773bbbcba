"""Results of shadows on a real archive: means over the comparisons, each once, of the last hour and in all."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from domain.experiment_results import ShadowFigures
from domain.timestamp import HOUR_MS
from infra.experiments.shadow_sums import PostgresShadowSums
from infra.postgres.user_rows import erase_rows
from infra.redis.metrics.experiment_results_store import MemoryExperimentResultsStore
from infra.redis.stores.experiment_store import MemoryExperimentStore
from schemas.types import ShadowComparison
from streams.core.experiment_results.shadow_results import shadow_figures
from streams.roles.archive.shadow_reporter import ShadowReporter
from tests.build import T0_MS, an_experiment
from tests.pipeline.analysis.test_views import T0, write
from topics.topic import SHADOW_COMPARISONS


def a_comparison(user_id: str, version: int, **overrides: Any) -> ShadowComparison:
    fields: dict[str, Any] = {
        "user_id": user_id,
        "experiment_id": "x1",
        "arm": "popular",
        "features_version": T0_MS + version,
        "compared_at": T0_MS,
        "overlap": 1.0,
        "rank_biased_overlap": 1.0,
        "is_first_changed": False,
        "score_difference": 0.0,
        "items": ["i1"],
        "shown_sources": {"trending": 10},
        "sources": {"trending": 10},
        "shown_categories": {"music": 10},
        "categories": {"music": 10},
        "shown_ranking_ms": 2.0,
        "ranking_ms": 3.0,
    }
    return ShadowComparison(**(fields | overrides))


CHANGED: dict[str, Any] = {
    "compared_at": T0_MS - 2 * HOUR_MS,
    "overlap": 0.5,
    "rank_biased_overlap": 0.25,
    "is_first_changed": True,
    "score_difference": -1.0,
    "sources": {"fresh": 5, "trending": 5},
    "categories": {"music": 5, "": 5},
}


async def test_figures_are_those_of_each_comparison_once(pool: asyncpg.Pool) -> None:
    comparisons = [
        a_comparison("ann", 0),
        a_comparison("ben", 0),
        a_comparison("ann", 1, **CHANGED),
        a_comparison("ann", 0, arm="other"),
        a_comparison("ann", 0, experiment_id="x2", overlap=0.0),
    ]
    await write(pool, SHADOW_COMPARISONS, comparisons)
    await write(pool, SHADOW_COMPARISONS, [a_comparison("ann", 0, compared_at=T0_MS + 1, overlap=0.0)])
    sums = await PostgresShadowSums(pool).read("x1", hour_since_ms=T0_MS - HOUR_MS)
    assert sums.keys() == {"popular", "other"}
    figures = {name: shadow_figures(one.rankings, one.sums, one.counts) for name, one in sums["popular"].items()}
    total, last_hour = figures["total"], figures["last_hour"]
    assert (total.rankings, total.overlap, total.rank_biased_overlap) == (3, pytest.approx(2.5 / 3), 0.75)
    assert (total.first_place_changes, total.score_difference) == (pytest.approx(1 / 3), pytest.approx(-1 / 3))
    assert (total.shown_ranking_ms, total.ranking_ms) == (2.0, 3.0)
    assert [(one.label, one.shown_share, one.shadow_share) for one in total.sources] == [
        ("trending", 1.0, pytest.approx(25 / 30)),
        ("fresh", 0.0, pytest.approx(5 / 30)),
    ]
    assert [one.label for one in total.categories] == ["music", ""]
    assert (last_hour.rankings, last_hour.overlap, last_hour.rank_biased_overlap) == (2, 1.0, 1.0)
    assert [one.label for one in last_hour.sources] == ["trending"]


async def test_the_report_is_of_running_shadows_and_follows_an_erasure(pool: asyncpg.Pool) -> None:
    experiments, results = MemoryExperimentStore(), MemoryExperimentResultsStore()
    fields: dict[str, Any] = {"status": "running", "is_shadow": True}
    await experiments.write(
        [
            an_experiment(**fields),
            an_experiment(experiment_id="x2", is_shadow=True),
            an_experiment(experiment_id="x3", **fields),
        ]
    )
    reporter = ShadowReporter(PostgresShadowSums(pool), experiments, results, now_ms=lambda: T0_MS + HOUR_MS + 1)
    await write(
        pool,
        SHADOW_COMPARISONS,
        [a_comparison("ann", 0), a_comparison("ben", 0, **CHANGED), a_comparison("ann", 0, experiment_id="x2")],
    )
    await reporter.report()
    assert (await results.read("x2"), await results.read("x3")) == (None, None)
    first = await results.read("x1")
    assert first is not None
    assert [arm.shadow is None for arm in first.arms] == [True, False]
    shadow = first.arms[1].shadow
    assert shadow is not None
    assert (shadow.total.rankings, shadow.last_hour) == (2, ShadowFigures(rankings=0))
    async with pool.acquire() as connection:
        assert (await erase_rows(connection, "ben", T0))["postgresql: shadow_comparisons"] == 1
    await reporter.report()
    second = await results.read("x1")
    assert second is not None
    assert second.arms[1].shadow is not None
    assert (second.arms[1].shadow.total.rankings, second.arms[1].shadow.total.overlap) == (1, 1.0)
