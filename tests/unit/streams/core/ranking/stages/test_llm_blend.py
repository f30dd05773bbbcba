"""Combined scores of the ranking and a language model, and the feeds that are selected by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.types import Feed
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.stages.features import LLM, ML
from streams.core.ranking.stages.llm_blend import LlmRatings, LlmScoreCache, blended, combine
from tests.build import T0_MS, a_feed, an_item, features, llm_scores, stats
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS

WEIGHTS = replace(LLM_BLEND_PARAMS, ml_score_weight=0.6, llm_score_weight=0.4, llm_scores_ttl_s=1.0)
NAN = float("nan")


def a_catalog(categories: str = "abc", **item: Any) -> CatalogSnapshot:
    """Return a catalog of items i1, i2 … in categories named by one letter each, the first the most popular."""
    catalog = CatalogSnapshot()
    for number, category in enumerate(categories, 1):
        catalog.apply_item(an_item(f"i{number}", category=category, **item))
        catalog.apply_stats(stats(f"i{number}", popularity=float(len(categories) - number)))
    catalog.refresh()
    return catalog


def ranked(scores: Mapping[str, float] | None, catalog: CatalogSnapshot, **params: Any) -> Feed:
    llm = None if scores is None else LlmRatings(scores, WEIGHTS)
    return rank(features(), catalog, new_blender(), replace(RANK_PARAMS, **params), now_ms=T0_MS, llm=llm)


def totals(scores: Sequence[float], llm: Sequence[float], *, feed_items: int = 50) -> list[float]:
    combined_scores = combine(np.array(scores, np.float32), np.array(llm), WEIGHTS, feed_items=feed_items)
    return combined_scores.total.tolist()


def test_the_combined_score_is_six_parts_ml_and_four_parts_llm() -> None:
    assert totals([3.0, 2.0, 1.0], [0.1, 0.9, 1.0]) == pytest.approx(  # ml: 1, 0.5 and 0
        [0.6 * 1.0 + 0.4 * 0.1, 0.6 * 0.5 + 0.4 * 0.9, 0.6 * 0.0 + 0.4 * 1.0]
    )
    assert totals([2.0, 2.0], [0.5, NAN]) == pytest.approx([0.6 * 0.5 + 0.4 * 0.5, 0.5]), "equal scores say nothing"


def test_an_item_without_a_score_keeps_that_of_the_ranking() -> None:
    assert totals([3.0, 2.0, 1.0], [0.0, NAN, NAN]) == pytest.approx([0.6, 0.5, 0.0])


def test_scores_are_scaled_over_the_best_items_as_many_as_a_feed_has() -> None:
    assert totals([4.0, 3.0, 2.0, 1.0], [NAN] * 4, feed_items=3) == pytest.approx([1.0, 0.5, 0.0, -0.5])
    assert totals([4.0, 3.0, -np.inf], [0.0, 1.0, 1.0]) == pytest.approx([0.6, 0.4, -np.inf]), "not admissible"


def test_without_any_score_the_feed_is_the_same() -> None:
    catalog = a_catalog()
    assert ranked({}, catalog) == ranked({"i9": 1.0}, catalog) == ranked(None, catalog)


def test_a_feed_is_in_the_order_of_combined_scores_and_tells_both() -> None:
    feed = ranked({"i1": 0.0, "i2": 0.1, "i3": 1.0}, a_catalog(), diversity_cap=1.0)
    assert feed.items[0] == "i1", "0.6 · 1"
    feed = ranked({"i1": 0.0, "i2": 1.0, "i3": 0.1}, a_catalog(), diversity_cap=1.0)
    assert feed.items[0] == "i2"
    assert feed.llm_scores == {"i1": 0.0, "i2": 1.0, "i3": 0.1}
    for item, score, ml in zip(feed.items, feed.scores, feed.ml_scores, strict=True):
        assert score == pytest.approx(0.6 * ml + 0.4 * feed.llm_scores[item], abs=1e-5)
    before = ranked(None, a_catalog())
    reasons = dict(zip(before.items, before.reasons, strict=True))
    assert [reasons[item] for item in feed.items] == feed.reasons


def test_items_that_come_last_stay_last_whatever_the_model_scores() -> None:
    catalog = a_catalog("ab")
    catalog.apply_item(an_item("i3", category="c", stock=0))
    catalog.refresh()
    before = ranked(None, catalog, hides_out_of_stock=False)
    feed = ranked({"i1": 0.0, "i2": 0.0, "i3": 1.0}, catalog, hides_out_of_stock=False)
    assert (before.items[-1], before.trailing) == (feed.items[-1], feed.trailing) == ("i3", 1)


def test_the_selection_is_diverse_by_combined_scores() -> None:
    items = [f"i{number}" for number in range(1, 21)]
    catalog = a_catalog("a" * 10 + "b" * 10)
    before, feed = (ranked(llm, catalog) for llm in (None, {item: float(item in items[10:]) for item in items}))
    first, first_before = ({*one.items[:10]} & {*items[10:]} for one in (feed, before))
    assert len(first) > len(first_before)
    for start in range(11):
        assert sum(item in items[:10] for item in feed.items[start : start + 10]) <= 7
        assert sum(item in items[10:] for item in feed.items[start : start + 10]) <= 7


def test_a_feed_that_popular_items_fill_up_has_scores_for_all_of_them() -> None:
    catalog = a_catalog()
    user_features = features(seen=["i2", "i3"])
    llm = LlmRatings({"i1": 0.5}, WEIGHTS)
    feed = rank(user_features, catalog, new_blender(), RANK_PARAMS, now_ms=T0_MS, llm=llm)
    assert sorted(feed.items) == ["i1", "i2", "i3"]
    assert len(feed.ml_scores) == len(feed.scores) == 3
    assert all(len(values) == 3 for values in feed.parts.values())


numbers = st.floats(-5, 50, allow_nan=False, width=32)
shares = st.floats(0, 1, allow_nan=False, width=32)


@given(st.data(), st.lists(numbers, min_size=1, max_size=12))
def test_the_contributions_to_a_combined_score_add_up(data: Any, scores: list[float]) -> None:
    count = len(scores)
    items = [f"i{number}" for number in range(count)]
    share = data.draw(st.lists(shares, min_size=count, max_size=count))
    parts = {
        "popular": [score * part for score, part in zip(scores, share, strict=True)],
        "fresh": [score * (1 - part) for score, part in zip(scores, share, strict=True)],
    }
    feed = a_feed(items=items, scores=scores, sources=["popular"] * count, reasons=["why"] * count, parts=parts)
    llm = data.draw(st.dictionaries(st.sampled_from(items), shares, min_size=1))
    column = np.array([llm.get(item, NAN) for item in items])
    combined_scores = combine(np.array(scores, np.float32), column, WEIGHTS, feed_items=count)
    ranked_feed = blended(feed, combined_scores, np.arange(count), llm)
    assert ranked_feed.items == items
    for number, score in enumerate(ranked_feed.scores):
        assert sum(part[number] for part in ranked_feed.parts.values()) == pytest.approx(score, abs=1e-4)
        assert -1e-6 <= score <= 1 + 1e-6
    assert set(ranked_feed.parts) <= {"popular", "fresh", LLM.name, ML.name}


def scores_of(cache: LlmScoreCache, *, now_ms: int = T0_MS, user_id: str = "u1") -> Mapping[str, float] | None:
    ratings = cache.get(user_id, now_ms=now_ms)
    return None if ratings is None else ratings.scores


def test_scores_hold_for_the_next_feeds_until_newer_ones_come() -> None:
    cache = LlmScoreCache(WEIGHTS)
    assert scores_of(cache) is None
    cache.put(llm_scores({"i3": 1.0}, scored_at=T0_MS))
    assert scores_of(cache) == {"i3": 1.0}
    cache.put(llm_scores({"i2": 0.5}, features_version=6, scored_at=T0_MS + 1))
    cache.put(llm_scores({"i1": 0.5}, features_version=5, scored_at=T0_MS + 2))
    assert scores_of(cache) == {"i2": 0.5}


def test_scores_end_with_their_time() -> None:
    cache = LlmScoreCache(WEIGHTS)
    cache.put(llm_scores({"i3": 1.0}, scored_at=T0_MS))
    assert scores_of(cache, now_ms=T0_MS + 1_000) == {"i3": 1.0}
    assert scores_of(cache, now_ms=T0_MS + 1_001) is None


def test_the_scores_of_users_beyond_the_maximum_are_evicted_oldest_first() -> None:
    cache = LlmScoreCache(WEIGHTS, capacity=2)
    for user_id in ("u1", "u2", "u1", "u3"):
        cache.put(llm_scores({"i3": 1.0}, user_id=user_id))
    users = ("u1", "u2", "u3")
    assert [user_id for user_id in users if scores_of(cache, user_id=user_id) is not None] == ["u1", "u3"]
