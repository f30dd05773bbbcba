"""Visibility: items that were seen, muted, hidden or sold, or lie elsewhere, and those of one user."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h3
import pytest

from schemas.types import ItemNeighbors, RecentItem
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from tests.build import LISBON, NEW_YORK, T0_MS, an_item, features, stats
from tests.params import RANK_PARAMS
from tests.unit.streams.core.ranking.ranking_world import CATEGORIES, PARAMS, a_fan_of, a_view, feed


def test_nothing_seen_or_muted_is_shown() -> None:
    ranked_feed = feed(a_fan_of("i0", "i1", "i2", muted=["movies", "i23"]))
    view = a_view()
    assert not {"i0", "i1", "i2", "i23"} & set(ranked_feed.items)
    assert all(view.labels_by_item[item].category != "movies" for item in ranked_feed.items)


def test_who_has_seen_everything_still_gets_a_feed_longest_ago_first() -> None:
    everything = [f"i{n}" for n in range(60)]
    user_features = feed(features(seen=everything, event_count=60))
    assert user_features.items == everything[: PARAMS.max_recommendations]


def test_items_that_were_hidden_do_not_fill_a_feed() -> None:
    everything = [f"i{n}" for n in range(60)]
    recent = [RecentItem(item_id="i1", weight=-3.0, at=T0_MS), RecentItem(item_id="i2", weight=-0.3, at=T0_MS)]
    person = features(recent=recent, seen=everything, event_count=60)
    items = feed(person, params=replace(PARAMS, max_recommendations=60)).items
    assert len(items) == 59
    assert "i1" not in items
    assert "i2" in items


def test_an_item_taken_off_the_catalogue_is_not_shown() -> None:
    view = a_view()
    view.remove_item("i21")
    view.refresh()
    assert "i21" not in feed(a_fan_of("i0"), view).items


BERLIN = h3.latlng_to_cell(52.52, 13.41, 9)
PLACED = {
    "lisbon-both": {"cell": LISBON, "city": "Lisbon"},
    "lisbon-cell": {"cell": LISBON},
    "lisbon-city": {"city": "Lisboa"},
    "york-both": {"cell": NEW_YORK, "city": "New York"},
    "york-cell": {"cell": NEW_YORK},
    "york-city": {"city": "NYC"},
    "village": {"city": "Kleindorf"},
}


def a_placed_view() -> CatalogSnapshot:
    """Return a view of items at places, all of them more popular than the two that are tied to none."""
    view = CatalogSnapshot()
    for number, (item_id, where) in enumerate(PLACED.items()):
        view.apply_item(an_item(item_id, category="places", **where))
        view.apply_stats(stats(item_id, popularity=9.0 - number / 10, trending=9.0))
    for item_id in ("anywhere", "everywhere"):
        view.apply_item(an_item(item_id))
    view.refresh()
    return view


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ({"cell": NEW_YORK}, "york"),
        ({"cell": LISBON, "city": "New York"}, "lisbon"),
        ({"city": "new york"}, "york"),
        ({"city": "Lissabon"}, "lisbon"),
        ({"city": "KLEINDORF"}, "village"),
        ({"city": "Tokyo"}, "none"),
        ({"city": "Grossdorf"}, "none"),
        ({"cell": h3.latlng_to_cell(35.68, 139.77, 7), "city": "Lisbon"}, "none"),
    ],
)
@pytest.mark.parametrize("exact_items", [100, 1])
@pytest.mark.parametrize("feed_items", [3, 20])
def test_nothing_of_another_city_is_shown_however_it_came_there(
    where: dict[str, str], text: str, exact_items: int, feed_items: int
) -> None:
    params = replace(RANK_PARAMS, max_recommendations=feed_items, exact_items=exact_items)
    person = features(prefetched=[*PLACED], seen=["york-both", "lisbon-both"], **where)
    items = set(feed(person, a_placed_view(), params).items)
    near = {item_id for item_id in PLACED if item_id.startswith(text)}
    assert items <= near | {"anywhere", "everywhere"}
    assert len(items) == min(feed_items, len(near) + 2)


@pytest.mark.parametrize("exact_items", [100, 1])
@pytest.mark.parametrize("where", [{}, {"cell": "garbage"}, {"city": " "}])
def test_without_a_location_items_with_one_come_last_in_lists(where: dict[str, str], exact_items: int) -> None:
    params = replace(RANK_PARAMS, max_recommendations=5, exact_items=exact_items)
    user_features = feed(features(**where), a_placed_view(), params)
    assert set(user_features.items[:2]) == {"anywhere", "everywhere"}
    assert (len(user_features.items), user_features.trailing) == (5, 3)
    assert set(user_features.items[2:]) <= set(PLACED)
    short = feed(features(**where), a_placed_view(), replace(params, max_recommendations=2))
    assert (set(short.items), short.trailing) == ({"anywhere", "everywhere"}, 0)


def test_in_a_large_catalogue_of_places_items_without_a_location_come_first_without_a_location() -> None:
    view = CatalogSnapshot(chart_items=30, exact_items=1_000)
    for n in range(1_500):
        where = {} if n % 50 == 0 else {"city": "Berlin"}
        view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n, **where))
        if where:
            view.apply_stats(stats(f"i{n}", popularity=float(n), trending=float(n)))
    view.refresh()
    user_features = feed(
        features(), view, replace(RANK_PARAMS, max_recommendations=30, exact_items=1_000, source_items=30)
    )
    assert set(user_features.items) == {f"i{n}" for n in range(0, 1_500, 50)}
    assert user_features.trailing == 0


def test_a_catalogue_of_places_alone_is_ranked_as_usual_without_a_location() -> None:
    view = a_view()
    for n in range(60):
        view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n, cell=BERLIN))
    view.refresh()
    assert feed(a_fan_of("i0"), view).items == feed(a_fan_of("i0")).items


def test_given_items_that_are_far_away_come_last_and_none_is_left_out() -> None:
    names = [*PLACED, "anywhere", "nobody's"]
    user_features = rank(features(city="Lisbon"), a_placed_view(), new_blender(), PARAMS, now_ms=T0_MS, among=names)
    assert set(user_features.items) == set(names)
    assert set(user_features.items[:4]) == {"lisbon-both", "lisbon-cell", "lisbon-city", "anywhere"}
    assert user_features.items[-1] == "nobody's"


SOLD_OUT = ({"stock": 0}, {"attributes": {"stock": "0"}}, {"attributes": {"availability": "out of stock"}})


@pytest.mark.parametrize("environment", SOLD_OUT)
@pytest.mark.parametrize("exact_items", [1_000, 1])
def test_what_is_out_of_stock_is_left_out_or_comes_last(environment: dict[str, Any], exact_items: int) -> None:
    view, hiding = a_view(), replace(PARAMS, max_recommendations=200, exact_items=exact_items)
    view.apply_item(an_item("i0", category="music", **environment))
    view.refresh()
    user_features = feed(features(), view, hiding).items
    assert len(user_features) == 59
    assert "i0" not in user_features
    assert "i0" not in feed(a_fan_of("i0"), view, hiding).items, "nor as one that was seen before"
    last = feed(features(), view, replace(hiding, hides_out_of_stock=False)).items
    assert (len(last), last[-1]) == (60, "i0")
    reranked_feed = rank(features(), view, new_blender(), hiding, now_ms=T0_MS, among=["i0", "i1", "i2"])
    assert reranked_feed.items[-1] == "i0"
    view.apply_item(an_item("i0", category="music", stock=3))
    view.refresh()
    assert "i0" in feed(features(), view, hiding).items


@pytest.mark.parametrize("exact_items", [1_000, 1])
def test_what_was_fetched_for_one_user_is_shown_to_nobody_else(exact_items: int) -> None:
    view, params = a_view(), replace(PARAMS, max_recommendations=200, exact_items=exact_items)
    view.apply_item(an_item("mine", title="For one user", private=True))
    view.apply_stats(stats("mine", popularity=9.0, trending=9.0))
    row = ItemNeighbors(item_id="i0", neighbors=["mine"], scores=[99.0], mass=9.0, reference=T0_MS, watermark=T0_MS)
    view.apply_neighbors(row)
    view.refresh()
    assert "mine" in feed(features(prefetched=["mine"]), view, params).items
    for other in (features(), a_fan_of("i0"), a_fan_of("mine"), features(prefetched=["i1"])):
        assert "mine" not in feed(other, view, params).items
    charts = view.charts
    assert not any(
        view.items.get("mine") in chart
        for chart in (charts.trending, charts.popular, charts.fresh, *charts.popular_in.values())
    )
    reranked_feed = rank(features(), view, new_blender(), params, now_ms=T0_MS, among=["mine", "i1"])
    assert dict(zip(reranked_feed.items, reranked_feed.sources, strict=True))["mine"] == "unknown"
    view.apply_item(an_item("mine", title="Of the catalogue now"))
    view.refresh()
    assert "mine" in feed(features(), view, params).items
    view.remove_item("mine")
    view.refresh()
    assert "mine" not in feed(features(prefetched=["mine"]), view, params).items


def test_a_private_item_that_was_deleted_is_not_shown_to_its_user_either() -> None:
    view = a_view()
    view.apply_item(an_item("mine", private=True))
    view.refresh()
    view.remove_item("mine")
    view.refresh()
    assert "mine" not in feed(features(prefetched=["mine"]), view, replace(PARAMS, max_recommendations=200)).items
