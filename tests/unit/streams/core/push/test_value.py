"""What a new item is worth, however the scores of feeds are scaled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.core.push.value import MAX_TOP_ITEMS, BaselineLead, robust_z_scores, top_items
from tests.build import a_feed

FEED = [9.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
SCORES = st.lists(st.floats(-100, 100, allow_nan=False, width=32), min_size=4, max_size=30)


def test_a_lead_is_counted_from_the_middle_in_spreads() -> None:
    assert robust_z_scores(FEED)[0] == (9.0 - 4.0) / (6.0 - 2.0)
    assert robust_z_scores(FEED)[3] == 0.0


@pytest.mark.parametrize("scores", [[], [1.0], [2.0] * 9, [float("nan")] * 4])
def test_a_feed_of_equal_scores_has_no_leader(scores: list[float]) -> None:
    assert robust_z_scores(scores) == [0.0] * len(scores)


@given(st.integers(-1_000, 1_000), st.sampled_from([0.125, 0.5, 2.0, 64.0]))
def test_leads_do_not_depend_on_the_scale_of_scores(shift: int, scale: float) -> None:
    assert robust_z_scores([score * scale + shift for score in FEED]) == robust_z_scores(FEED)


@given(SCORES)
def test_a_higher_score_leads_by_more(scores: list[float]) -> None:
    model_scores = robust_z_scores(scores)
    assert [lead for _, lead in sorted(zip(scores, model_scores, strict=True))] == sorted(model_scores)


def test_what_comes_after_all_others_leads_nothing() -> None:
    items = [f"i{n}" for n in range(len(FEED) + 1)]
    columns = {"items": items, "sources": ["x"] * 9, "reasons": ["x"] * 9, "parts": {}}
    found_items = top_items(replace(a_feed(scores=[*FEED, 99.0], **columns), trailing=1))
    assert [one.item_id for one in found_items] == items[:-1]
    assert [one.lead for one in found_items] == robust_z_scores(FEED)


def test_what_was_fetched_stands_out_by_what_it_scores_beside_that_alone() -> None:
    items = [f"i{n}" for n in range(len(FEED))]
    prefetched_items = {"i6", "i7"}
    plain = a_feed(items=items, scores=FEED, sources=["popular"] * 8, reasons=items, parts={"popular": FEED})
    part = [3.0 if item in prefetched_items else 0.0 for item in items]
    scores = [score + more for score, more in zip(FEED, part, strict=True)]
    assert top_items(replace(plain, scores=scores, parts={"popular": FEED, "prefetched": part})) == top_items(plain)
    assert [(one.item_id, one.lead) for one in top_items(plain)] == list(zip(items, robust_z_scores(FEED), strict=True))
    longer = replace(plain, items=items * 2, scores=FEED * 2, reasons=items * 2, parts={})
    assert len(top_items(longer)) == MAX_TOP_ITEMS


def test_nothing_is_of_value_before_it_is_known_what_is_usual() -> None:
    usual = BaselineLead()
    for _ in range(2):
        usual.fold(2.0)
        assert usual.value(100.0) == 0.0
    usual.fold(2.0)
    assert (usual.value(2.0), usual.value(3.0)) == (1.0, 1.5)


def test_where_nothing_ever_leads_nothing_is_of_value() -> None:
    usual = BaselineLead()
    for _ in range(5):
        usual.fold(0.0)
    assert usual.value(3.0) == 0.0


def test_what_is_usual_follows_the_last_feeds() -> None:
    usual = BaselineLead()
    for lead in [2.0] * 50 + [4.0] * 100:
        usual.fold(lead)
    assert usual.lead == pytest.approx(4.0, abs=0.02)
