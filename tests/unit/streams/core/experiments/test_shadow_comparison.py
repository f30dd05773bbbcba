"""Comparisons of lists: equal lists agree entirely, both ways give the same overlap, and all figures have bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.experiments.shadow_comparison import comparison, overlap, rank_biased_overlap
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from tests.build import a_feed, an_item

LISTS = st.lists(st.sampled_from([f"i{number}" for number in range(60)]), unique=True, max_size=50)
PERSISTENCES = st.floats(0.05, 0.98)


@given(LISTS, PERSISTENCES)
def test_a_list_agrees_with_itself_exactly(items: list[str], persistence: float) -> None:
    assert overlap(items, items) == 1.0
    assert rank_biased_overlap(items, items, persistence=persistence) == 1.0


@given(LISTS, LISTS, PERSISTENCES)
def test_the_overlaps_are_symmetric_and_from_0_to_1(one: list[str], other: list[str], persistence: float) -> None:
    for function in (overlap, lambda *lists: rank_biased_overlap(*lists, persistence=persistence)):
        value = function(one, other)
        assert value == function(other, one)
        assert 0.0 <= value <= 1.0


@given(LISTS)
def test_lists_without_a_common_item_do_not_agree_at_all(items: list[str]) -> None:
    others = [f"other {item}" for item in items]
    expected_value = 0.0 if items else 1.0
    assert overlap(items, others) == expected_value
    assert rank_biased_overlap(items, others) == pytest.approx(expected_value, abs=1e-12)


@given(LISTS, st.integers(0, 40), PERSISTENCES)
def test_a_prefix_agrees_as_far_as_it_goes(items: list[str], length: int, persistence: float) -> None:
    prefix = items[: max(1, length)]
    assert rank_biased_overlap(items, prefix, persistence=persistence) == 1.0


def test_the_rank_biased_overlap_is_that_of_the_paper() -> None:
    """Lists of one length: X_k / k p^k + (1 - p) / p times the sum over d of X_d / d p^d."""
    one, other, p = list("abcdefg"), list("bacxyzg"), 0.9
    shared_counts = [len(set(one[:depth]) & set(other[:depth])) for depth in range(1, 8)]
    expected = shared_counts[-1] / 7 * p**7
    expected += (1 - p) / p * sum(count / depth * p**depth for depth, count in enumerate(shared_counts, start=1))
    assert rank_biased_overlap(one, other) == pytest.approx(expected)


def test_the_rank_biased_overlap_of_lists_of_two_lengths_is_that_of_the_paper() -> None:
    """Equation 32, with s and l the lengths of the shorter and of the longer list."""
    longer, shorter, p = list("abcdefgh"), list("bxa"), 0.8
    long_length, short_length = 8, 3
    shared_counts = {depth: len(set(longer[:depth]) & set(shorter[:depth])) for depth in range(1, 9)}
    total = sum(shared_counts[depth] / depth * p**depth for depth in shared_counts)
    total += sum(
        shared_counts[short_length] * (depth - short_length) / (short_length * depth) * p**depth
        for depth in range(short_length + 1, long_length + 1)
    )
    tail = (shared_counts[long_length] - shared_counts[short_length]) / long_length
    tail += shared_counts[short_length] / short_length
    expected = (1 - p) / p * total + tail * p**long_length
    assert rank_biased_overlap(longer, shorter, persistence=p) == pytest.approx(expected)


def test_the_beginning_counts_most() -> None:
    items = list("abcdefghij")
    first, last = list("bacdefghij"), list("abcdefghji")
    assert overlap(items, first) == overlap(items, last) == 1.0
    assert rank_biased_overlap(items, first) < rank_biased_overlap(items, last) < 1.0


def test_a_comparison_has_the_figures_of_the_first_ten_of_both_lists() -> None:
    catalog = CatalogSnapshot()
    items = [f"i{number}" for number in range(14)]
    for number, item_id in enumerate(items[:12]):
        catalog.apply_item(an_item(item_id, category=("jazz", "folk")[number % 2]))
    catalog.refresh()
    shown_items, shadow_items = items[:12], [*items[2:12], items[13]]
    shown_feed = a_feed(
        user_id="ann",
        features_version=7,
        items=shown_items,
        scores=[1.0] * 10 + [0.0] * 2,
        sources=["trending"] * 12,
        reasons=[""] * 12,
    )
    shadow = a_feed(
        user_id="ann",
        features_version=7,
        items=shadow_items,
        scores=[3.0] * 10 + [0.0],
        sources=["fresh"] * 4 + ["trending"] * 7,
        reasons=[""] * 11,
        policy="thompson",
    )
    result = comparison(
        shadow, shown_feed, catalog, experiment_id="x1", arm="fresh", shown_ranking_ms=2.0, ranking_ms=3.0
    )
    assert (result.user_id, result.features_version, result.compared_at) == ("ann", 7, shown_feed.generated_at)
    assert (result.experiment_id, result.arm, result.items, result.policy) == ("x1", "fresh", shadow_items, "thompson")
    assert (result.overlap, result.is_first_changed, result.score_difference) == (0.8, True, 2.0)
    assert result.rank_biased_overlap == rank_biased_overlap(shadow_items, shown_items)
    assert (result.shown_sources, result.sources) == ({"trending": 10}, {"fresh": 4, "trending": 6})
    assert result.shown_categories == result.categories == {"jazz": 5, "folk": 5}
    assert (result.shown_ranking_ms, result.ranking_ms) == (2.0, 3.0)
    equal = comparison(
        shown_feed, shown_feed, catalog, experiment_id="x1", arm="same", shown_ranking_ms=2.0, ranking_ms=2.0
    )
    assert (equal.overlap, equal.rank_biased_overlap, equal.is_first_changed) == (1.0, 1.0, False)
    assert equal.score_difference == 0.0
