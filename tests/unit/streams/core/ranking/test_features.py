"""The list of ranking features: one object for each, with its group, and its value."""

from __future__ import annotations

from dataclasses import replace

import h3
import numpy as np
import pytest

from domain.timestamp import DAY_MS, HOUR_MS
from schemas.types import Features, RecentItem
from streams.core.params import RepeatRule
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.features import ALL_GROUPS, FEATURES, GROUPS, RankingFeature, _by_name, feature_matrix
from tests.build import T0_MS, an_item, features, stats
from tests.params import RANK_PARAMS


def a_catalog() -> CatalogSnapshot:
    catalog = CatalogSnapshot()
    for item_id in ("a", "b", "c"):
        catalog.apply_item(an_item(item_id))
    catalog.refresh()
    return catalog


def test_a_name_stands_for_one_feature() -> None:
    near = FEATURES["near"]
    assert _by_name([near, replace(near, name="nearer")]).keys() == {"near", "nearer"}
    with pytest.raises(ValueError, match="near, near"):
        _by_name([near, near])


def test_a_name_stands_for_one_group() -> None:
    assert len({group.name for group in ALL_GROUPS}) == len(ALL_GROUPS)
    assert all(GROUPS[feature.group.name] is feature.group for feature in FEATURES.values())


@pytest.mark.parametrize("feature", FEATURES.values(), ids=list(FEATURES))
def test_each_feature_is_explained_in_words(feature: RankingFeature) -> None:
    catalog = a_catalog()
    query = ranking_query(features(), catalog, RANK_PARAMS, at_ms=T0_MS)
    assert feature.group.label
    assert feature.group.description
    assert all(feature.group.reason(np.arange(3, dtype=np.int32), query, catalog))


def value(name: str, catalog: CatalogSnapshot, person: Features, *, at_ms: int = T0_MS) -> dict[str, float]:
    """Return the values of a feature by item, where items are shown again."""
    params = replace(RANK_PARAMS, allow_repeat_items=RepeatRule(otherwise=True))
    matrix = feature_matrix(ranking_query(person, catalog, params, at_ms=at_ms), catalog, slice(None))
    return dict(zip(catalog.items.names, matrix.column(slice(None))[list(FEATURES).index(name)].tolist(), strict=True))


def test_items_close_to_the_last_place_rank_by_distance() -> None:
    catalog = a_catalog()
    for item_id, longitude in (("last", -73.99), ("close", -73.98), ("far", -73.60), ("farther", -72.0)):
        catalog.apply_item(an_item(item_id, cell=h3.latlng_to_cell(40.7, longitude, 9)))
    catalog.refresh()
    recent = [RecentItem(item_id=item_id, weight=1.0, at=T0_MS) for item_id in ("a", "last", "farther")]
    values = value("near_last", catalog, features(recent=recent, seen=["a", "last"]))
    assert values["last"] == pytest.approx(1.0)
    assert values["last"] > values["close"] > values["far"] > values["farther"] == values["a"] == 0.0
    assert not any(value("near_last", catalog, features(recent=recent[:1], seen=["a"])).values())


def test_items_score_by_their_embeddings_for_the_last_items() -> None:
    catalog = a_catalog()
    for item, first in enumerate((1.0, 2.0)):
        catalog.embeddings.put(item, np.array([first] + [0.0] * 127, np.float32), 0.0)
    recent = [RecentItem(item_id="a", weight=1.0, at=T0_MS)]
    assert value("embedding", catalog, features(recent=recent, seen=["a"])) == {"a": 0.25, "b": 0.5, "c": 0.0}
    assert not any(value("embedding", catalog, features()).values())


@pytest.mark.parametrize(("feature", "at_ms"), [("daily", T0_MS + 3 * DAY_MS), ("weekly", T0_MS + 14 * DAY_MS)])
def test_habits_are_visits_at_the_same_time(feature: str, at_ms: int) -> None:
    recent = [RecentItem(item_id=item_id, weight=1.0, at=T0_MS - ago) for item_id, ago in (
        ("a", 0), ("b", 6 * HOUR_MS), ("c", 7 * DAY_MS), ("a", 7 * DAY_MS)
    )]  # fmt: skip
    values = value(feature, a_catalog(), features(recent=recent, seen=["a", "b", "c"]), at_ms=at_ms)
    assert values["a"] > values["c"] > 1.0
    assert values["b"] < 0.01


def test_items_are_popular_at_their_hour_and_on_their_day() -> None:
    catalog = a_catalog()
    for item_id, hour, day in (("a", 8, 1), ("b", 20, 4)):
        hours, weekdays = [0.0] * 24, [0.0] * 7
        hours[hour] = weekdays[day] = 30.0
        catalog.apply_stats(stats(item_id, hours=hours, weekdays=weekdays))
    catalog.refresh()
    friday_ms = DAY_MS + 8 * HOUR_MS + 60_000
    for name in ("hour", "weekday"):
        morning = value(name, catalog, features(), at_ms=friday_ms)
        assert morning["a"] > 0.3 > morning["c"] == 0.0 > morning["b"]
    nearly = value("hour", catalog, features(), at_ms=friday_ms + HOUR_MS)
    assert 0.0 < nearly["a"] <= value("hour", catalog, features(), at_ms=friday_ms)["a"]


def test_older_item_statistics_have_neither_hours_nor_a_slow_popularity() -> None:
    catalog = a_catalog()
    catalog.apply_stats(stats("a", horizons=[0.0, 0.0, 0.0], cohorts=[0.0] * 6))
    catalog.refresh()
    assert value("lasting", catalog, features())["a"] > 0
    assert not any(any(value(name, catalog, features()).values()) for name in ("slow", "hour", "weekday"))


def test_features_of_repeats_are_0_where_repeats_are_not_allowed() -> None:
    catalog = a_catalog()
    row = list(FEATURES).index("again")
    values = []
    for is_allowed in (False, True):
        params = replace(RANK_PARAMS, allow_repeat_items=RepeatRule(otherwise=is_allowed))
        query = ranking_query(features(seen=["b"], visits={"b": 3}), catalog, params, at_ms=T0_MS)
        values.append(feature_matrix(query, catalog, slice(None)).column(slice(None))[row].tolist())
    assert values == [[0.0, 0.0, 0.0], [0.0, pytest.approx(np.log1p(3)), 0.0]]
