"""Candidate sources: the items that they find in a catalogue too large to score whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from schemas.types import ItemEmbedding
from streams.core.item.embedding_record import STORED
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import ranking_query as whom
from streams.core.ranking.stages import candidate_sources
from tests.build import T0_MS, an_item, features, stats
from tests.params import RANK_PARAMS
from tests.unit.streams.core.ranking.ranking_world import CATEGORIES, PARAMS, a_fan_of, feed


def test_what_trends_in_a_category_is_found_though_others_trend_more() -> None:
    view = CatalogSnapshot(chart_items=3)
    for n in range(8):
        view.apply_item(an_item(f"i{n}", category="music" if n else "places", topics=[]))
        view.apply_stats(stats(f"i{n}", trending=float(n), popularity=float(n)))
    view.refresh()
    person = features(preferred=["places"], segment="nobody's")
    matches = candidate_sources.trending(whom(person, view, PARAMS, at_ms=T0_MS), view, PARAMS)
    assert [view.items.names[index] for index in matches] == ["i7", "i6", "i5", "i0"]


def test_what_was_fetched_is_a_candidate_of_a_catalogue_too_large_to_score_whole() -> None:
    params = replace(RANK_PARAMS, max_recommendations=5, source_items=2, exact_items=10)
    assert "i57" not in feed(features(event_count=10), params=params).items
    assert "i57" in feed(features(event_count=10, prefetched=["i57", "unheard"]), params=params).items


def a_large_view(*, exact_items: int) -> CatalogSnapshot:
    """Return a view of 1,500 items, of which only the last is about what the first is about."""
    view = CatalogSnapshot(chart_items=20, exact_items=exact_items)
    for n in range(1_500):
        view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], title=f"Number {n}", topics=[f"t{n % 50}"]))
    for n in range(10):
        view.apply_stats(stats(f"i{n}", popularity=float(n), trending=float(n)))
    for n, name in ((0, "i0"), (1_500, "new")):
        view.apply_item(an_item(name, category=CATEGORIES[0], title=f"Klezmer {n}", topics=["klezmer"], created_at=1))
    return view


def test_a_new_item_of_a_large_catalogue_is_found_by_what_it_says() -> None:
    params = replace(RANK_PARAMS, max_recommendations=20, exact_items=1_000, source_items=30)
    view = a_large_view(exact_items=1_000)
    while view.refresh():
        pass
    person = a_fan_of("i0", topics={"klezmer": 10.0}, categories={"music": 10.0})
    ranked_feed = feed(person, view, params)
    assert ranked_feed.items[0] not in ("i0", "new"), "what is popular leads"
    assert ranked_feed.reasons[ranked_feed.items.index("new")] == "You like klezmer"
    view.remove_item("new")
    view.refresh()
    assert "new" not in feed(person, view, params).items


def test_an_item_of_a_large_catalogue_is_found_by_its_embedding() -> None:
    params = replace(RANK_PARAMS, max_recommendations=20, exact_items=1_000, source_items=30)
    view = a_large_view(exact_items=1_000)
    for number, length in ((700, 1.0), (900, 3.0), (901, -3.0)):
        vector = np.array([length] + [0.0] * 127, np.float32).astype(STORED).tobytes()
        view.apply_embedding(
            ItemEmbedding(item_id=f"i{number}", space="softmax-128", vector=vector, bias=0.0, watermark=T0_MS)
        )
    while view.refresh():
        pass
    query = whom(a_fan_of("i700"), view, params, at_ms=T0_MS)
    items = candidate_sources.embedded(query, view, params).tolist()
    assert items[0] == view.items.get("i900")
    assert view.items.get("i900") in candidate_sources.candidate_items(query, view, params)
    assert not len(candidate_sources.embedded(whom(a_fan_of("i1"), view, params, at_ms=T0_MS), view, params))


def test_a_catalogue_that_is_scored_whole_needs_no_content_index() -> None:
    view = a_large_view(exact_items=2_000)
    view.refresh()
    assert not view.is_stale
    fan = whom(a_fan_of("i0"), view, PARAMS, at_ms=T0_MS)
    assert len(candidate_sources.similar(fan, view, PARAMS)) == 0
