"""What a language model's scores do to a feed, and what they leave alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.types import Feed
from streams.core.ranking.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.llm_blend import LLM, ML, LlmScoreCache, blend_llm_scores
from tests.build import T0_MS, a_feed, an_item, llm_scores
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS

WEIGHTS = dataclasses.replace(LLM_BLEND_PARAMS, ml_score_weight=0.6, llm_score_weight=0.4, llm_scores_ttl_s=1.0)


def a_view(categories: str = "abc") -> CatalogSnapshot:
    """Return a view of items i1, i2 … in categories named by one letter each."""
    view = CatalogSnapshot()
    for number, category in enumerate(categories, 1):
        view.apply_item(an_item(f"i{number}", category=category))
    return view


def combined(scores: dict[str, float], feed: Feed | None = None, view: CatalogSnapshot | None = None) -> Feed:
    return blend_llm_scores(feed or a_feed(), scores, view or a_view(), RANK_PARAMS, weights=WEIGHTS)


def test_the_combined_score_is_six_parts_ml_and_four_parts_llm() -> None:
    found = combined({"i1": 0.1, "i2": 0.9, "i3": 1.0})  # ml over the feed: 1, 0.5 and 0
    assert found.items == ["i2", "i1", "i3"]
    assert found.scores == pytest.approx([0.6 * 0.5 + 0.4 * 0.9, 0.6 * 1.0 + 0.4 * 0.1, 0.6 * 0.0 + 0.4 * 1.0])
    assert found.ml_scores == pytest.approx([0.5, 1.0, 0.0])
    assert found.llm_scores == {"i1": 0.1, "i2": 0.9, "i3": 1.0}


def test_an_item_without_a_score_keeps_that_of_the_ranking() -> None:
    found = combined({"i1": 0.0, "i9": 1.0})
    assert dict(zip(found.items, found.scores, strict=True)) == pytest.approx({"i1": 0.6, "i2": 0.5, "i3": 0.0})
    assert found.llm_scores == {"i1": 0.0}


def test_without_any_score_the_feed_is_the_same() -> None:
    feed = a_feed()
    assert combined({}, feed) is feed
    assert combined({"i9": 1.0}, feed) is feed


def test_what_comes_after_all_others_stays_there_whatever_the_model_says() -> None:
    found = combined({"i1": 0.0, "i2": 0.1, "i3": 1.0}, replace(a_feed(scores=[0.1, 0.1, 0.9]), trailing=1))
    assert (found.items, found.trailing) == (["i2", "i1", "i3"], 1)
    swapped = combined({"i1": 0.0, "i2": 0.1, "i3": 1.0}, replace(a_feed(), trailing=2))
    assert (swapped.items, swapped.trailing) == (["i1", "i3", "i2"], 2)
    assert swapped.reasons == ["Trending now", "Trending now", "Popular in music"]


def test_every_column_moves_with_its_item() -> None:
    feed = a_feed(propensities=[0.5, 0.25, 0.125])
    found = combined({"i3": 1.0, "i1": 0.0, "i2": 0.0}, feed)
    for name in ("sources", "reasons", "propensities"):
        before = dict(zip(feed.items, getattr(feed, name), strict=True))
        assert dict(zip(found.items, getattr(found, name), strict=True)) == before
    assert (found.features_version, found.generated_at, found.model) == (5, feed.generated_at, feed.model)


def test_newer_scores_start_from_what_the_ranking_said() -> None:
    once = combined({"i1": 0.3, "i2": 0.9})
    again = combined({"i1": 0.7, "i3": 0.2}, once)
    straight = combined({"i1": 0.7, "i3": 0.2})
    assert again.items == straight.items
    assert again.scores == pytest.approx(straight.scores, abs=1e-5)
    assert again.llm_scores == straight.llm_scores


def test_the_feed_stays_as_diverse_as_it_was() -> None:
    view = a_view("aaaaaaaaaabbbbbbbbbb")
    items = [f"i{number}" for number in range(1, 21)]
    mixed = [item for pair in zip(items[:10], items[10:], strict=True) for item in pair]
    columns = {"scores": [1.0 - n / 20 for n in range(20)], "sources": ["popular"] * 20, "reasons": ["why"] * 20}
    feed = a_feed(items=mixed, parts={}, **columns)
    found = combined({item: 1.0 if item in items[:10] else 0.0 for item in items}, feed, view)
    assert found.items[:5] == items[:5]
    for start in range(11):
        assert sum(item in items[:10] for item in found.items[start : start + 10]) <= 7


numbers = st.floats(-5, 50, allow_nan=False, width=32)
shares = st.floats(0, 1, allow_nan=False, width=32)


@given(st.data(), st.lists(numbers, min_size=1, max_size=12))
def test_the_parts_of_a_combined_score_add_up(data: Any, scores: list[float]) -> None:
    count = len(scores)
    items = [f"i{number}" for number in range(count)]
    share = data.draw(st.lists(shares, min_size=count, max_size=count))
    parts = {
        "popular": [score * part for score, part in zip(scores, share, strict=True)],
        "fresh": [score * (1 - part) for score, part in zip(scores, share, strict=True)],
    }
    feed = a_feed(items=items, scores=scores, sources=["popular"] * count, reasons=["why"] * count, parts=parts)
    judged = data.draw(st.dictionaries(st.sampled_from(items), shares, min_size=1))
    found = combined(judged, feed)
    assert sorted(found.items) == sorted(items)
    for number, score in enumerate(found.scores):
        assert sum(part[number] for part in found.parts.values()) == pytest.approx(score, abs=1e-4)
        assert -1e-6 <= score <= 1 + 1e-6
    assert set(found.parts) <= {"popular", "fresh", LLM, ML}


def test_scores_hold_for_the_next_feeds_until_newer_ones_come() -> None:
    judged, view, params = LlmScoreCache(WEIGHTS), a_view(), RANK_PARAMS
    feed = a_feed()
    assert judged.blend(feed, view, params) is feed
    judged.put(llm_scores({"i3": 1.0}, scored_at=T0_MS))
    later = replace(feed, features_version=6)
    assert judged.blend(later, view, params).llm_scores == {"i3": 1.0}
    judged.put(llm_scores({"i2": 0.5}, features_version=6, scored_at=T0_MS + 1))
    judged.put(llm_scores({"i1": 0.5}, features_version=5, scored_at=T0_MS + 2))
    assert judged.blend(later, view, params).llm_scores == {"i2": 0.5}


def test_scores_end_with_their_time() -> None:
    judged, view, params = LlmScoreCache(WEIGHTS), a_view(), RANK_PARAMS
    judged.put(llm_scores({"i3": 1.0}, scored_at=T0_MS))
    at_the_end, after = (a_feed(generated_at=T0_MS + age_ms) for age_ms in (1_000, 1_001))
    assert judged.blend(at_the_end, view, params) is not at_the_end
    assert judged.blend(after, view, params) is after


def test_users_beyond_the_most_that_are_kept_give_way() -> None:
    judged = LlmScoreCache(WEIGHTS, most=2)
    for user_id in ("u1", "u2", "u1", "u3"):
        judged.put(llm_scores({"i3": 1.0}, user_id=user_id))
    feeds = {user_id: a_feed(user_id=user_id) for user_id in ("u1", "u2", "u3")}
    known = [user for user, feed in feeds.items() if judged.blend(feed, a_view(), RANK_PARAMS) is not feed]
    assert known == ["u1", "u3"]
