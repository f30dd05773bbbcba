"""The list of ranking features: one object for each, with its group, and its value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streams.core.params import RepeatRule
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.features import ALL_GROUPS, FEATURES, GROUPS, RankingFeature, _by_name, feature_matrix
from tests.build import T0_MS, an_item, features
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


def test_features_of_repeats_are_0_where_repeats_are_not_allowed() -> None:
    catalog = a_catalog()
    row = list(FEATURES).index("again")
    values = []
    for is_allowed in (False, True):
        params = replace(RANK_PARAMS, allow_repeat_items=RepeatRule(otherwise=is_allowed))
        query = ranking_query(features(seen=["b"], visits={"b": 3}), catalog, params, at_ms=T0_MS)
        values.append(feature_matrix(query, catalog, slice(None)).column(slice(None))[row].tolist())
    assert values == [[0.0, 0.0, 0.0], [0.0, pytest.approx(np.log1p(3)), 0.0]]
