"""Serendipity: how much of an item is new to a user, and what that gains it in a feed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from infra.settings import SettingsError, read_settings
from schemas.types import Features, RecentItem
from streams.core.params import RankParams
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.llm_blend import LlmRatings
from streams.core.ranking.stages.serendipity import unexpectedness
from streams.runtime.core_params import rank_params
from tests.build import T0_MS, an_item, features, stats
from tests.params import LLM_BLEND_PARAMS, RANK_PARAMS

WORLDS = {
    "jazz": ("music", ["jazz"]),
    "rock": ("music", ["rock"]),
    "film": ("movies", ["noir", "jazz"]),
    "bare": ("", []),
}


def a_catalog() -> CatalogSnapshot:
    """Return ten items of each kind, the first of all kinds equally popular, and so on."""
    catalog = CatalogSnapshot()
    for name, (category, topics) in WORLDS.items():
        for n in range(10):
            catalog.apply_item(an_item(f"{name}{n}", category=category, topics=topics))
            catalog.apply_stats(stats(f"{name}{n}", popularity=-n / 10, trending=-n / 10))
    catalog.refresh()
    return catalog


CATALOG = a_catalog()


def a_listener(*items: str) -> Features:
    recent = [RecentItem(item_id=item, weight=1.0, at=T0_MS) for item in items]
    return features(recent=recent, seen=list(items), event_count=len(items))


def gains(user: Features, *items: str) -> list[float] | None:
    query = ranking_query(user, CATALOG, RANK_PARAMS, at_ms=T0_MS)
    column = unexpectedness(query, CATALOG.items.encode(items), CATALOG)
    return None if column is None else column.tolist()


def with_weight(weight: float) -> RankParams:
    return replace(RANK_PARAMS, serendipity_weight=weight, max_recommendations=10, diversity_cap=1.0)


def test_an_item_is_as_unexpected_as_the_share_of_the_history_that_lacks_its_labels() -> None:
    assert gains(a_listener("jazz0"), "jazz1", "rock1", "film1", "bare1") == [0.0, 0.5, pytest.approx(2 / 3), 0.0]
    assert gains(a_listener("jazz0", "film0"), "jazz1", "rock1", "film1") == [0.25, 0.75, pytest.approx(1 / 3)]


def test_without_labels_in_the_history_nothing_is_unexpected() -> None:
    assert gains(a_listener(), "jazz1") is None
    assert gains(a_listener("bare0"), "jazz1") is None


def test_a_topic_that_an_item_names_twice_counts_once_in_a_history() -> None:
    catalog = CatalogSnapshot()
    catalog.apply_item(an_item("twice", topics=["jazz", "jazz"]))
    catalog.refresh()
    query = ranking_query(a_listener("twice"), catalog, RANK_PARAMS, at_ms=T0_MS)
    assert query.label_shares is not None
    assert query.label_shares.topics.tolist() == [1.0, 0.0]


def test_unexpected_items_rise_with_the_weight() -> None:
    user = a_listener("jazz0", "jazz1")
    new_share = {
        weight: np.mean([
            not item.startswith("jazz") and not item.startswith("bare")
            for item in rank(user, CATALOG, new_blender(), with_weight(weight), now_ms=T0_MS).items
        ])
        for weight in (0.0, 0.2, 5.0)
    }  # fmt: skip
    assert new_share[0.0] <= new_share[0.2] < new_share[5.0] == 1.0


def test_scores_stay_those_of_the_ranking() -> None:
    user = a_listener("jazz0", "jazz1")
    plain, serendipitous = (
        rank(user, CATALOG, new_blender(), with_weight(weight), now_ms=T0_MS) for weight in (0.0, 5.0)
    )
    scores = dict(zip(plain.items, plain.scores, strict=True))
    shared_items = set(plain.items) & set(serendipitous.items)
    assert shared_items
    assert all(serendipitous.scores[serendipitous.items.index(item)] == scores[item] for item in shared_items)


def test_a_weight_is_in_log_odds_where_a_language_model_has_scored_too() -> None:
    user = a_listener("jazz0", "jazz1")
    llm = LlmRatings({"jazz9": 0.0}, LLM_BLEND_PARAMS)  # its scores change no order of the others
    for weight in (0.1, 0.5, 1.0):
        alone, blend = (
            rank(user, CATALOG, new_blender(), with_weight(weight), now_ms=T0_MS, llm=scores).items
            for scores in (None, llm)
        )
        assert [item for item in blend if item != "jazz9"][:9] == [item for item in alone if item != "jazz9"][:9]


def test_the_weight_is_that_of_the_settings() -> None:
    assert RANK_PARAMS.serendipity_weight == 0.2
    assert rank_params(read_settings({"SERENDIPITY_WEIGHT": "0.5"})).serendipity_weight == 0.5
    with pytest.raises(SettingsError, match="SERENDIPITY_WEIGHT"):
        read_settings({"SERENDIPITY_WEIGHT": "-1"})
