"""Explanations of items in a feed: filters, contributions, positions and the comparison with the served feed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from infra.settings import read_settings
from schemas.types import Features, ItemNeighbors, LlmScores, RecentItem
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.explanation import ItemExplanation, RankingInputs, explain
from streams.core.ranking.feed_comparison import compare
from streams.core.ranking.pipeline import SELECTION_STEPS, new_blender
from streams.core.ranking.stages.features import GROUPS
from streams.runtime.core_params import rank_params
from tests.build import LISBON, NEW_YORK, T0_MS, a_feed, an_item, features, llm_scores, stats
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS

NOW_MS = T0_MS + 5_000
CATEGORIES = ("music", "movies", "places", "workshops")


def a_catalog() -> CatalogSnapshot:
    """Return forty items, the most popular first; i1 and i2 go with i0, and some have reasons to be left out."""
    catalog = CatalogSnapshot()
    for n in range(40):
        catalog.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n))
        catalog.apply_stats(stats(f"i{n}", popularity=-n / 10, trending=-n / 5))
    catalog.apply_item(an_item("lisbon", cell=LISBON))
    catalog.apply_stats(stats("lisbon", popularity=0.5))
    catalog.apply_item(an_item("empty", stock=0))
    catalog.apply_item(an_item("over", attributes={"starts": "2020-01-01"}))
    catalog.apply_item(an_item("private", private=True))
    catalog.apply_item(an_item("deleted"))
    catalog.remove_item("deleted")
    for item_id, links in {"i0": {"i1": 9.0, "i2": 8.0}, "i1": {"i0": 9.0}, "i2": {"i0": 8.0}}.items():
        row = {"neighbors": list(links), "scores": list(links.values()), "mass": 9.0, "reference": T0_MS}
        catalog.apply_neighbors(ItemNeighbors(item_id=item_id, watermark=T0_MS, **row))
    catalog.refresh()
    return catalog


def inputs(user: Features, *, scores: LlmScores | None = None, **params: object) -> RankingInputs:
    rank_params = replace(RANK_PARAMS, **({"max_recommendations": 10} | params))  # type: ignore[arg-type]
    return RankingInputs(user, a_catalog(), new_blender(), rank_params, LLM_BLEND_PARAMS, scores)


def explained(item_id: str, ranking: RankingInputs) -> ItemExplanation:
    return explain(item_id, ranking, ranking.feed(now_ms=NOW_MS))


def a_fan(**overrides: object) -> Features:
    recent = [RecentItem(item_id="i0", weight=1.0, at=T0_MS)]
    return features(recent=recent, seen=["i0"], event_count=30, **overrides)


def test_the_contributions_add_up_to_the_score_of_the_feed_for_every_item_in_it() -> None:
    ranking = inputs(a_fan(weights={"near": 0.25}, prefetched=["i20"]))
    feed = ranking.feed(now_ms=NOW_MS)
    for position, item_id in enumerate(feed.items, 1):
        item = explain(item_id, ranking, feed)
        assert (item.outcome, item.position) == ("ranked", position)
        assert item.score == pytest.approx(feed.scores[position - 1], abs=2e-6)
        for group, contributions in feed.parts.items():
            share = sum(one.contribution for one in item.features if one.group == group)
            assert share == pytest.approx(contributions[position - 1], abs=2e-6)


def test_a_feature_has_its_value_its_weight_and_the_part_that_is_the_users_own() -> None:
    item = explained("i1", inputs(a_fan(weights={"near": 0.25})))
    near = next(share for share in item.features if share.feature == "near")
    assert near.own_weight == 0.25
    assert near.weight == pytest.approx(0.9 + 0.25)
    assert near.contribution == pytest.approx(near.value * near.weight)
    assert (near.label, near.description) == (GROUPS["neighbors"].label, GROUPS["neighbors"].description)
    sizes = [abs(share.contribution) for share in item.features]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("item_id", "user", "filters"),
    [
        ("i0", a_fan(), ["seen"]),
        ("i4", a_fan(muted=["i4"]), ["muted"]),
        ("i5", a_fan(muted=["movies"]), ["muted"]),
        ("i0", a_fan(muted=["music"]), ["muted", "seen"]),
        ("lisbon", a_fan(cell=NEW_YORK), ["distant"]),
        ("empty", a_fan(), ["sold_out"]),
        ("over", a_fan(), ["ended"]),
        ("private", a_fan(), ["unlisted"]),
        ("deleted", a_fan(), ["unlisted"]),
    ],
)
def test_the_filters_that_remove_an_item_are_named(item_id: str, user: Features, filters: list[str]) -> None:
    item = explained(item_id, inputs(user))
    assert (item.outcome, item.removed_by, item.position) == ("removed", filters, None)
    assert item.position_by_score is None


def test_an_item_that_no_filter_removes_may_be_outranked() -> None:
    item = explained("i39", inputs(a_fan()))
    assert (item.outcome, item.removed_by, item.position) == ("outranked", [], None)
    assert item.position_by_score is not None
    assert 10 < item.position_by_score <= item.candidates


def test_in_a_large_catalog_an_item_may_be_no_candidate_at_all() -> None:
    ranking = inputs(features(event_count=30, cell=NEW_YORK), exact_items=10, source_items=3)
    item = explained("i25", ranking)
    assert (item.outcome, item.position_by_score) == ("no_candidate", None)
    assert item.features
    assert explained("i1", ranking).outcome == "ranked"


def test_a_short_feed_is_filled_up_with_items_that_were_removed() -> None:
    ranking = inputs(features(seen=["i0"], event_count=30), max_recommendations=200)
    item = explained("i0", ranking)
    assert (item.outcome, item.removed_by, item.position) == ("filled_up", ["seen"], item.feed_items)


def test_diversity_is_the_step_from_the_score_to_the_position() -> None:
    fan = a_fan(categories={"music": 9.0})
    ranking = inputs(fan, diversity_cap=0.3)
    feed = ranking.feed(now_ms=NOW_MS)
    others = [item for item in (explain(item_id, ranking, feed) for item_id in feed.items) if item.category != "music"]
    assert any(item.position_by_score > item.position for item in others if item.position and item.position_by_score)
    free = inputs(fan, diversity_cap=1.0, serendipity_weight=0.0)
    for item_id in free.feed(now_ms=NOW_MS).items:
        item = explained(item_id, free)
        assert item.position == item.position_by_score


def test_stated_interests_calibrate_the_feed_of_a_newcomer_only() -> None:
    assert explained("i1", inputs(features(preferred=["movies"]))).is_calibrated
    assert not explained("i1", inputs(features())).is_calibrated


def test_items_at_a_location_trail_for_a_user_without_one() -> None:
    far = explained("lisbon", inputs(a_fan()))
    assert far.is_trailing
    assert far.position_by_score == far.candidates
    assert not explained("i1", inputs(a_fan())).is_trailing


def test_the_language_models_part_is_shown_until_its_scores_expire() -> None:
    fresh = llm_scores({"i1": 0.25}, scored_at=NOW_MS - 1_000)
    ranking = inputs(a_fan(), scores=fresh)
    feed, item = ranking.feed(now_ms=NOW_MS), explained("i1", ranking)
    assert item.llm is not None
    assert (item.llm.llm_score, item.llm.ml_weight, item.llm.llm_weight) == (0.25, 0.6, 0.4)
    combined_score = 0.6 * item.llm.ml_score + 0.4 * item.llm.llm_score
    assert feed.scores[feed.items.index("i1")] == pytest.approx(combined_score, abs=2e-6)
    old_scores = structs.replace(fresh, scored_at=NOW_MS - 3_600_001)
    assert explained("i1", inputs(a_fan(), scores=old_scores)).llm is None


def test_the_steps_from_the_score_to_the_position_are_named_in_the_order_in_which_they_are_taken() -> None:
    recent = [RecentItem(item_id="i8", weight=1.0, at=T0_MS)]
    newcomer, no_stock = features(preferred=["movies"], recent=recent), {"cell": NEW_YORK}
    exploration = rank_params(read_settings({"EXPLORATION_POLICY": "thompson", "EXPLORATION_SHARE": "0.5"})).exploration
    exploration = replace(exploration, days=100_000.0, min_probability=0.0)
    scores = llm_scores({f"i{n}": 1.0 for n in range(40)}, scored_at=NOW_MS)
    assert explained("i1", inputs(features(**no_stock))).steps == ["diversity"]
    steps = explained("i1", inputs(newcomer, scores=scores, exploration=exploration)).steps
    assert steps == list(SELECTION_STEPS)
    assert steps == ["llm_blend", "trailing", "serendipity", "calibration", "diversity", "exploration"]


def test_diversity_and_the_last_position_hold_whatever_the_language_model_prefers() -> None:
    music = [f"i{n}" for n in range(0, 40, 4)]
    scores = llm_scores(dict.fromkeys([*music, "lisbon"], 1.0), scored_at=NOW_MS)
    free, capped_one = (
        inputs(features(), scores=scores, max_recommendations=41, diversity_cap=cap).feed(now_ms=NOW_MS).items
        for cap in (1.0, 0.3)
    )
    assert sum(item in music for item in free[:10]) > 3
    assert sum(item in music for item in capped_one[:10]) == 3
    assert free[-1] == capped_one[-1] == "lisbon"


def test_an_unknown_item_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        explained("nothing", inputs(a_fan()))


def test_a_feed_ranked_again_equals_the_served_one_or_the_differences_are_counted() -> None:
    feed = a_feed()
    assert compare(feed, structs.replace(feed, generated_at=1)).is_equal
    comparison = structs.replace(feed, items=["i2", "i1"], features_version=6)
    difference = compare(feed, comparison)
    assert (difference.is_equal, difference.differing_positions, difference.has_newer_features) == (False, 3, True)
    score_comparison = compare(feed, structs.replace(feed, scores=[0.9, 0.5, 0.2]))
    assert not score_comparison.is_equal
    assert (score_comparison.differing_positions, score_comparison.largest_score_difference) == (0, pytest.approx(0.1))
