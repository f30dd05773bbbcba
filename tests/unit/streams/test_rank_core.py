"""Ranking: sources, filters, cold starts, diversity, reasons, and independence of order and time."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from schemas.types import Features, Feed, ItemNeighbors, RecentItem
from streams.core import source
from streams.core.params import RankParams
from streams.core.person import person as whom
from streams.core.rank import new_blender, rank
from streams.core.view import View
from tests.build import T0_MS, an_item, features, stats

PARAMS = RankParams(feed_items=20)
CATEGORIES = ("music", "movies", "places", "workshops")


def a_view(*, items: int = 60, seed: int = 0) -> View:
    """Return a view of items in four categories; i0 is the most popular, and i1, i2, i3 go with i0."""
    view = View()
    steps = [
        lambda n=n: view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n)) for n in range(items)
    ]
    steps += [lambda n=n: view.apply_stats(stats(f"i{n}", popularity=-n / 10, trending=-n / 5)) for n in range(items)]
    linked = {"i0": {"i21": 9.0, "i22": 8.0, "i23": 7.0}, "i21": {"i0": 9.0}, "i22": {"i0": 8.0}, "i23": {"i0": 7.0}}
    rows = [
        ItemNeighbors(
            item_id=item, neighbors=list(row), scores=list(row.values()), mass=9.0, reference=T0_MS, watermark=T0_MS
        )
        for item, row in linked.items()
    ]
    steps += [lambda row=row: view.apply_neighbors(row) for row in rows]
    random.Random(seed).shuffle(steps)
    for step in steps:
        step()
    view.refresh()
    return view


def feed(person: Features, view: View | None = None, params: RankParams = PARAMS) -> Feed:
    return rank(person, view or a_view(), new_blender(), params, now_ms=T0_MS)


def a_fan_of(*items: str, **overrides: object) -> Features:
    recent = [RecentItem(item_id=item, weight=1.0, at=T0_MS) for item in items]
    return features(recent=recent, seen=list(items), event_count=10, **overrides)


def test_what_goes_with_the_last_item_leads_and_says_why() -> None:
    found = feed(a_fan_of("i0"))
    assert set(found.items[:3]) == {"i21", "i22", "i23"}
    assert found.sources[0] == "neighbors"
    assert found.reasons[0] == "Because you liked Title of i0"


def test_the_parts_add_up_to_the_score() -> None:
    found = feed(a_fan_of("i0", categories={"movies": 3.0}))
    for place, score in enumerate(found.scores):
        assert sum(part[place] for part in found.parts.values()) == pytest.approx(score, abs=1e-6)
    assert found.scores == sorted(found.scores, reverse=True) or len(set(found.sources)) > 1


def test_nothing_seen_or_muted_is_shown() -> None:
    found = feed(a_fan_of("i0", "i1", "i2", muted=["movies", "i23"]))
    view = a_view()
    assert not {"i0", "i1", "i2", "i23"} & set(found.items)
    assert all(view.subjects[item].category != "movies" for item in found.items)


def test_newcomers_get_a_full_feed() -> None:
    found = feed(features())
    assert len(found.items) == len(set(found.items)) == PARAMS.feed_items


def test_newcomers_of_a_group_get_what_is_popular_in_it() -> None:
    view = a_view()
    view.apply_stats(stats("i47", popularity=-9.0, trending=-9.0, segments={"25-34|f": 0.0}))
    view.refresh()
    assert "i47" in feed(features(segment="25-34|f"), view).items[:3]
    assert "i47" not in feed(features(), view).items[:3]


def test_stated_preferences_count_before_the_first_event() -> None:
    found = feed(features(preferred=["workshops"]), params=RankParams(feed_items=8, diversity_cap=1.0))
    view = a_view()
    assert Counter(view.subjects[item].category for item in found.items).most_common(1)[0][0] == "workshops"


def test_what_trends_in_a_category_is_found_though_others_trend_more() -> None:
    view = View(leaders=3)
    for n in range(8):
        view.apply_item(an_item(f"i{n}", category="music" if n else "places", topics=[]))
        view.apply_stats(stats(f"i{n}", trending=float(n), popularity=float(n)))
    view.refresh()
    person = features(preferred=["places"], segment="nobody's")
    found = source.trending(whom(person, view, PARAMS, at_ms=T0_MS), view, PARAMS)
    assert [view.items.names[index] for index in found] == ["i7", "i6", "i5", "i0"]


def test_who_has_seen_everything_still_gets_a_feed_longest_ago_first() -> None:
    everything = [f"i{n}" for n in range(60)]
    found = feed(features(seen=everything, event_count=60))
    assert found.items == everything[: PARAMS.feed_items]


def test_no_category_fills_a_window_beyond_the_cap() -> None:
    found = feed(a_fan_of("i0", categories={"music": 50.0}))
    view = a_view()
    labels = [view.subjects[item].category for item in found.items]
    windows = [labels[start : start + PARAMS.diversity_window] for start in range(len(labels) - 9)]
    assert max(max(Counter(window).values()) for window in windows) <= PARAMS.diversity_cap * PARAMS.diversity_window


def test_the_cap_never_shortens_a_feed() -> None:
    view = View()
    for n in range(30):
        view.apply_item(an_item(f"i{n}"))
        view.apply_stats(stats(f"i{n}"))
    view.refresh()
    assert len(feed(features(), view).items) == PARAMS.feed_items


def test_an_item_taken_off_the_catalogue_is_not_shown() -> None:
    view = a_view()
    view.remove_item("i21")
    view.refresh()
    assert "i21" not in feed(a_fan_of("i0"), view).items


def test_a_feed_does_not_depend_on_the_order_in_which_the_view_was_filled() -> None:
    person = a_fan_of("i0", "i5", categories={"movies": 1.0, "music": 0.5}, topics={"jazz": 2.0})
    feeds = {tuple(feed(person, a_view(seed=seed)).items) for seed in range(6)}
    assert len(feeds) == 1


def test_an_empty_catalogue_gives_an_empty_feed() -> None:
    view = View()
    view.refresh()
    assert feed(features(), view).items == []


def test_a_disliked_item_brings_nothing() -> None:
    recent = [RecentItem(item_id="i0", weight=-2.0, at=T0_MS)]
    found = feed(features(recent=recent, seen=["i0"], event_count=10))
    assert "neighbors" not in found.parts
