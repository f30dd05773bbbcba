"""Results of shadows: means over the comparisons, shares of sources and categories, and a bound on their number."""

from __future__ import annotations

from domain.experiment_results import MAX_SHADOW_LABELS, ArmShadow, ShadowFigures, ShadowShares
from streams.core.experiment_results.shadow_results import shadow_figures, shadow_results
from tests.build import T0_MS, an_experiment


def test_figures_are_means_over_the_comparisons() -> None:
    figures = shadow_figures(
        4,
        {"overlap": 4.0, "rank_biased_overlap": 3.0, "first_place_changes": 1.0, "score_difference": -2.0},
        {"sources": {"fresh": (10, 20), "trending": (30, 0)}, "categories": {}},
    )
    assert (figures.overlap, figures.rank_biased_overlap) == (1.0, 0.75)
    assert (figures.first_place_changes, figures.score_difference) == (0.25, -0.5)
    assert figures.sources == [
        ShadowShares(label="fresh", shown_share=0.25, shadow_share=1.0),
        ShadowShares(label="trending", shown_share=0.75, shadow_share=0.0),
    ]
    assert figures.ranking_ms is None


def test_without_comparisons_there_are_no_figures() -> None:
    assert shadow_figures(0, {}, {"sources": {}, "categories": {}}) == ShadowFigures(rankings=0)


def test_rare_labels_are_one() -> None:
    counts = {f"c{number:03}": (1.0, 1.0) for number in range(100)}
    shares = shadow_figures(10, {}, {"categories": counts}).categories
    assert len(shares) == MAX_SHADOW_LABELS + 1
    assert shares[0].label == "c000"
    assert (shares[-1].label, round(shares[-1].shown_share, 9)) == ("(other)", 0.8)


def test_results_name_all_arms_and_have_no_users() -> None:
    one = ArmShadow(last_hour=ShadowFigures(rankings=0), total=ShadowFigures(rankings=3, overlap=1.0))
    results = shadow_results(an_experiment(is_shadow=True), {"popular": one, "unknown": one}, now_ms=T0_MS + 1)
    assert (results.control, results.since, results.computed_at) == ("blend", T0_MS, T0_MS + 1)
    assert [(arm.name, arm.users, arm.shadow) for arm in results.arms] == [("blend", 0, None), ("popular", 0, one)]
    assert not results.has_sample_ratio_mismatch
