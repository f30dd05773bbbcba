"""Ranking in a large catalogue: by sparse scores of the candidates alone, as exactly as if everything were scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from schemas.types import Features
from streams.core.params import RepeatRule
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.features import feature_matrix
from streams.core.ranking.stages.filters import apply_filters, trailing
from tests.build import T0_MS, an_item, features, stats
from tests.params import RANK_PARAMS
from tests.unit.streams.core.ranking.ranking_world import a_fan_of, a_view

EXACT = replace(RANK_PARAMS, max_recommendations=20, exact_items=1_000, source_items=1_000)
LARGE = replace(EXACT, exact_items=0)
"""Only items named by sources are scored; they name all items here."""


def a_world() -> CatalogSnapshot:
    """Return a view with item weights, places, event times, sold-out and private items besides the usual ones."""
    view = a_view()
    for number, fields in enumerate(
        (
            {"city": "Lisbon"},
            {"city": "Tokyo"},
            {"attributes": {"starts": "2023-11-20T20:00"}},
            {"attributes": {"starts": "2023-11-01T20:00"}},
            {"stock": 0},
            {"private": True},
            {"topics": ["jazz", "noise"], "category": "places"},
        )
    ):
        view.apply_item(an_item(f"x{number}", **fields))
        view.apply_stats(stats(f"x{number}", popularity=-number / 7, trending=number / 5))
    items = np.array([0, 21, 22, 40], np.int32)
    view.item_weights.fill(items, np.array([[0, 1, -2, 3], [1, 0, 1, 0], [4, 0, 0, 1], [0, 0, 2, 0]], float))
    view.refresh()
    return view


PEOPLE = [
    features(event_count=0),
    features(event_count=0, preferred=["jazz", "places"], prefetched=["x5"]),
    a_fan_of("i0", "i21", "i0", "i3", categories={"music": 3.0, "places": -1.0}, topics={"jazz": 2.0}),
    a_fan_of("i22", "x0", city="Lisbon", visits={"i22": 3, "i7": 2}, muted=["noise", "i9", "movies"]),
    a_fan_of("i40", "unknown", segment="nobody's", prefetched=["x5", "i9"]),
]


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("person", PEOPLE)
def test_the_features_of_candidates_are_those_of_the_whole_catalog(person: Features, repeats: bool) -> None:
    view, rule = a_world(), RepeatRule(otherwise=repeats)
    small, large = (replace(params, allow_repeat_items=rule) for params in (EXACT, LARGE))
    some = np.arange(0, view.columns.count, 3, dtype=np.int32)
    whole_query, query = (ranking_query(person, view, params, at_ms=T0_MS) for params in (small, large))
    whole = feature_matrix(whole_query, view, slice(None)).column(slice(None))
    np.testing.assert_allclose(feature_matrix(query, view, some).column(slice(None)), whole[:, some], rtol=1e-6)
    np.testing.assert_array_equal(query.history_scores.at(some), whole_query.history_scores.at(slice(None))[:, some])
    is_kept = apply_filters(query, view, large, some).is_kept
    np.testing.assert_array_equal(is_kept, apply_filters(whole_query, view, small).is_kept[some])
    for is_filtered in (True, False):
        last = trailing(query, view, large, some, is_filtered=is_filtered)
        np.testing.assert_array_equal(last, trailing(whole_query, view, small, is_filtered=is_filtered)[some])


@pytest.mark.parametrize("person", PEOPLE)
def test_feeds_are_the_same_where_the_sources_name_everything(person: Features) -> None:
    view = a_world()
    exact, large = (rank(person, view, new_blender(), params, now_ms=T0_MS) for params in (EXACT, LARGE))
    assert (large.items, large.sources, large.trailing) == (exact.items, exact.sources, exact.trailing)
    np.testing.assert_allclose(large.scores, exact.scores, atol=1e-5)


def test_a_feed_that_is_filled_up_takes_the_most_popular_items_that_no_filter_removes() -> None:
    person = features(event_count=10, seen=[f"i{n}" for n in range(50)], muted=["i55", "movies"])
    feeds = [
        rank(person, a_world(), new_blender(), replace(params, source_items=1), now_ms=T0_MS)
        for params in (EXACT, LARGE)
    ]
    assert len(feeds[1].items) == EXACT.max_recommendations
    assert not {"i55", "i57", "x4", "x5"} & set(feeds[1].items)


def test_a_request_for_given_items_costs_no_look_at_the_others() -> None:
    view, person = a_world(), PEOPLE[2]
    names = ["i40", "i7", "i21", "i0"]
    exact, large = (rank(person, view, new_blender(), params, now_ms=T0_MS, among=names) for params in (EXACT, LARGE))
    assert exact == large
