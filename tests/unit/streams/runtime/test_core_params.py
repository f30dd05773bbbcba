"""Settings reach the cores: another value of each changes what the core computes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from domain.timestamp import HOUR_MS
from infra.error import OperatorError
from infra.settings import Settings
from models import decay
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.stages.llm_blend import combine
from streams.core.shop.home_blend import blend_home
from streams.roles.shop.shop_role import ShopProjector
from streams.runtime.core_params import llm_blend_params, private_stats_params, rank_params, signal_params
from tests.build import T0_MS, an_item, features, stats


def set_to(**settings: Any) -> Settings:
    return replace(Settings(), **settings)


@pytest.mark.parametrize("rate", [0.95, 0.5])
def test_what_is_left_of_a_trend_after_an_hour_is_as_set(rate: float) -> None:
    params, state = signal_params(set_to(trending_decay_rate=rate)), ItemState("i1")
    click = ItemSignal("i1", Position(0, 0, T0_MS), T0_MS, "click", 1.0)
    item_stats.fold(state, item_stats.to_record([click]), params=params)
    left_stats = decay.as_of(item_stats.stats(state).trending, at_ms=T0_MS + HOUR_MS, rate=params.trending_rate)
    assert left_stats == pytest.approx(rate)


@pytest.mark.parametrize(("ml", "llm"), [(0.6, 0.4), (0.9, 0.1), (0.2, 0.8)])
def test_the_ranking_and_the_language_model_count_as_much_as_is_set(ml: float, llm: float) -> None:
    weights = llm_blend_params(set_to(ml_score_weight=ml, llm_score_weight=llm))
    scores, ratings = np.array([3.0, 2.0, 1.0], np.float32), np.array([np.nan, 0.9, np.nan])
    assert combine(scores, ratings, weights, feed_items=3).total[1] == pytest.approx(ml * 0.5 + llm * 0.9)


@pytest.mark.parametrize("most", [50, 7])
def test_a_feed_holds_as_many_items_as_is_set(most: int) -> None:
    view = CatalogSnapshot()
    for n in range(80):
        view.apply_item(an_item(f"i{n}"))
    view.refresh()
    params = rank_params(set_to(max_recommendations=most))
    assert len(rank(features(), view, new_blender(), params, now_ms=T0_MS).items) == most


def test_what_is_popular_in_a_users_group_fades_over_as_many_interactions_as_is_set() -> None:
    view = CatalogSnapshot()
    view.apply_item(an_item("i1"))
    view.apply_stats(stats("i1", segments={"25-34|f": 1.0}))
    view.refresh()

    def of_the_group(events: int, threshold: int) -> float:
        params = rank_params(set_to(cold_start_threshold=threshold))
        person = features(segment="25-34|f", event_count=events)
        return rank(person, view, new_blender(), params, now_ms=T0_MS).parts["segment"][0]

    assert of_the_group(5, 5) == pytest.approx(of_the_group(0, 5) / 2)
    assert of_the_group(20, 20) == pytest.approx(of_the_group(0, 5) / 2)
    assert of_the_group(5, 20) > of_the_group(5, 5)


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        ({}, ["clicked", "searched", "diverse"]),
        ({"shop_clicked_weight": 0.1}, ["searched", "clicked", "diverse"]),
        ({"shop_searched_weight": 0.05}, ["clicked", "diverse", "searched"]),
        ({"shop_diverse_weight": 0.9}, ["diverse", "clicked", "searched"]),
    ],
)
def test_the_mix_of_a_shops_home_is_as_set(weights: dict[str, float], order: list[str]) -> None:
    none = cast(Any, None)
    shop = ShopProjector(none, none, none, none, set_to(**weights))
    parts = ["clicked"], ["searched"], ["diverse"]
    assert blend_home(*parts, mix=shop._mix, limit=9) == order


def test_statistics_are_exact_by_default() -> None:
    assert private_stats_params(Settings()) is None


def test_private_statistics_spend_delta_in_proportion() -> None:
    params = private_stats_params(set_to(private_statistics_epsilon=0.25, privacy_epsilon=0.5))
    assert params is not None
    assert (params.epsilon, params.delta) == (0.25, 0.5e-5)
    assert "key" not in repr(params)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"private_statistics_epsilon": 2.0}, "budget"),
        ({"private_statistics_epsilon": 1.0, "environment": "production"}, "key"),
    ],
)
def test_private_statistics_need_a_budget_and_a_key(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(OperatorError, match=word):
        private_stats_params(set_to(**settings))
