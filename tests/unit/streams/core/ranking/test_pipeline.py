"""Ranking: sources, filters, cold starts, diversity, reasons, and independence of order and time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import h3
import pytest
from msgspec import structs

from schemas.types import Features, Feed, ItemNeighbors, ItemWeights, RecentItem
from streams.core.params import RankParams
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.ranking_query import ranking_query as whom
from streams.core.ranking.stages import candidate_sources
from streams.core.ranking.stages.features import PRIOR
from streams.core.user import user_state as user
from streams.core.user.user_state import UserState
from tests.build import LISBON, NEW_YORK, T0_MS, an_interaction, an_item, features, stats
from tests.params import RANK_PARAMS, USER_PARAMS

PARAMS = replace(RANK_PARAMS, max_recommendations=20)
CATEGORIES = ("music", "movies", "places", "workshops")


def a_view(*, items: int = 60, seed: int = 0) -> CatalogSnapshot:
    """Return a view of items in four categories; i0 is the most popular, and i1, i2, i3 go with i0."""
    view = CatalogSnapshot()
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


def feed(person: Features, view: CatalogSnapshot | None = None, params: RankParams = PARAMS) -> Feed:
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
    assert {"neighbors", "affinity", "popular", "trending"} <= set(found.parts), "there is something to add up"


def test_links_tastes_and_affinities_each_raise_items_of_one_feed() -> None:
    def scores(person: Features, *, links: bool = True, tastes: bool = True) -> dict[str, float]:
        view = CatalogSnapshot()
        for n in range(8):
            view.apply_item(an_item(f"i{n}", category="books", topics=[f"topic-{n}"]))
        if links:
            for item, other in (("i0", "i1"), ("i1", "i0")):
                times: dict[str, Any] = {"mass": 9.0, "reference": T0_MS, "watermark": T0_MS}
                view.apply_neighbors(ItemNeighbors(item_id=item, neighbors=[other], scores=[9.0], **times))
        if tastes:
            view.apply_weights(ItemWeights(item_id="i0", model_version="v1", others=["i2"], weights=[1.0]))
        view.refresh()
        found = feed(person, view)
        return dict(zip(found.items, found.scores, strict=True))

    person = a_fan_of("i0", topics={"topic-3": 5.0})
    whole = scores(person)
    raised = {item for item, score in whole.items() if score > whole["i7"]}
    assert raised == {"i1", "i2", "i3"}
    for item, less in (
        ("i1", scores(person, links=False)),
        ("i2", scores(person, tastes=False)),
        ("i3", scores(a_fan_of("i0"))),
    ):
        assert {name for name, score in less.items() if score > less["i7"]} == raised - {item}


@pytest.mark.parametrize("action", ["skip", "dislike", "hide"])
def test_what_was_ignored_comes_later_in_the_next_feed(action: str) -> None:
    view = CatalogSnapshot()
    for n in range(3):
        for topic in ("jazz", "rock"):
            view.apply_item(an_item(f"{topic}-{n}", topics=[topic]))
    view.refresh()
    state = UserState("u1")
    assert len(set(feed(user.snapshot(state, USER_PARAMS), view).scores)) == 1, "nothing is known of the user"
    event = an_interaction(item_id="rock-0", action=action)
    user.fold(state, event, Position(0, 0, T0_MS), subject=ItemLabels("music", ("rock",), ""), params=USER_PARAMS)
    found = feed(user.snapshot(state, USER_PARAMS), view)
    assert [item.partition("-")[0] for item in found.items[:5]] == ["jazz"] * 3 + ["rock"] * 2
    assert found.scores[2] > found.scores[3]


def test_nothing_seen_or_muted_is_shown() -> None:
    found = feed(a_fan_of("i0", "i1", "i2", muted=["movies", "i23"]))
    view = a_view()
    assert not {"i0", "i1", "i2", "i23"} & set(found.items)
    assert all(view.labels_by_item[item].category != "movies" for item in found.items)


def test_newcomers_get_a_full_feed() -> None:
    found = feed(features())
    assert len(found.items) == len(set(found.items)) == PARAMS.max_recommendations
    assert found.items[:4] == ["i0", "i1", "i2", "i3"], "the most popular first"


def test_newcomers_of_a_group_get_what_is_popular_in_it() -> None:
    view = a_view()
    view.apply_stats(stats("i47", popularity=-9.0, trending=-9.0, segments={"25-34|f": 0.0}))
    view.refresh()
    assert "i47" in feed(features(segment="25-34|f"), view).items[:3]
    assert "i47" not in feed(features(), view).items[:3]


def test_stated_preferences_count_before_the_first_event() -> None:
    found = feed(
        features(preferred=["workshops"]), params=replace(RANK_PARAMS, max_recommendations=8, diversity_cap=1.0)
    )
    view = a_view()
    assert Counter(view.labels_by_item[item].category for item in found.items).most_common(1)[0][0] == "workshops"


def scores_of(found: Feed) -> dict[str, float]:
    """Return scores by the part of the ids before the dash."""
    return {item.partition("-")[0]: score for item, score in zip(found.items, found.scores, strict=True)}


def test_acting_on_one_of_several_stated_things_puts_it_before_the_others() -> None:
    view = CatalogSnapshot()
    for topic in ("jazz", "hiking", "cooking", "opera"):
        for n in range(3):
            view.apply_item(an_item(f"{topic}-{n}", category="events", topics=[topic]))
    view.refresh()
    stated = features(preferred=["jazz", "hiking", "cooking"])
    assert {topic: round(score, 3) for topic, score in scores_of(feed(stated, view)).items()} == {
        "jazz": 0.8, "hiking": 0.8, "cooking": 0.8, "opera": 0.3
    }  # fmt: skip
    found = feed(structs.replace(stated, topics={"jazz": 1.0, "opera": 1.0}, event_count=1), view)
    assert found.items[0].startswith("jazz"), "it leads, and the others keep their share of the feed"
    scores = scores_of(found)
    assert scores["jazz"] > scores["hiking"] == scores["cooking"] > scores["opera"], "one event is little evidence"


def test_what_takes_place_ranks_by_time_and_what_is_over_is_not_shown() -> None:
    view = CatalogSnapshot()
    starts = {
        "over": "2023-11-14T13:00",
        "tonight": "2023-11-14T20:00",
        "saturday": "2023-11-18T11:00",
        "later": "2024-01-01",
    }
    for item_id, time in starts.items():
        view.apply_item(an_item(item_id, attributes={"starts": time}))
    view.apply_item(an_item("any-time"))
    view.refresh()
    found = feed(features(timezone="America/New_York"), view)  # it is 17:13 there, on a Tuesday
    assert found.items == ["tonight", "saturday", "later", "any-time"]
    assert found.reasons[0] == "Tonight"
    assert feed(features(timezone="Asia/Tokyo"), view).items[0] == "saturday", "there it is Wednesday"
    woken = features(timezone="America/New_York", triggered_at=T0_MS + 4 * 86_400_000)
    assert feed(woken, view).items == ["later", "any-time"], "a trigger tells the time, too"


def test_what_is_new_comes_before_what_is_equal_and_old() -> None:
    view = CatalogSnapshot()
    day_ms = 86_400_000
    for item_id, age_days in (("old", 3_000), ("new", 1), ("month", 30)):
        view.apply_item(an_item(item_id, created_at=T0_MS - age_days * day_ms))
    view.watermark = T0_MS
    view.refresh()
    found = feed(features(), view)
    assert found.items == ["new", "month", "old"]
    assert found.reasons[0] == "New in music"


def test_what_trends_in_a_category_is_found_though_others_trend_more() -> None:
    view = CatalogSnapshot(chart_items=3)
    for n in range(8):
        view.apply_item(an_item(f"i{n}", category="music" if n else "places", topics=[]))
        view.apply_stats(stats(f"i{n}", trending=float(n), popularity=float(n)))
    view.refresh()
    person = features(preferred=["places"], segment="nobody's")
    found = candidate_sources.trending(whom(person, view, PARAMS, at_ms=T0_MS), view, PARAMS)
    assert [view.items.names[index] for index in found] == ["i7", "i6", "i5", "i0"]


def test_who_has_seen_everything_still_gets_a_feed_longest_ago_first() -> None:
    everything = [f"i{n}" for n in range(60)]
    found = feed(features(seen=everything, event_count=60))
    assert found.items == everything[: PARAMS.max_recommendations]


def test_items_that_were_hidden_do_not_fill_a_feed() -> None:
    everything = [f"i{n}" for n in range(60)]
    recent = [RecentItem(item_id="i1", weight=-3.0, at=T0_MS), RecentItem(item_id="i2", weight=-0.3, at=T0_MS)]
    person = features(recent=recent, seen=everything, event_count=60)
    items = feed(person, params=replace(PARAMS, max_recommendations=60)).items
    assert len(items) == 59
    assert "i1" not in items
    assert "i2" in items


def test_no_category_fills_a_window_beyond_the_cap() -> None:
    found = feed(a_fan_of("i0", categories={"music": 50.0}))
    view = a_view()
    labels = [view.labels_by_item[item].category for item in found.items]
    windows = [labels[start : start + PARAMS.diversity_window] for start in range(len(labels) - 9)]
    assert max(max(Counter(window).values()) for window in windows) <= PARAMS.diversity_cap * PARAMS.diversity_window


def test_the_cap_never_shortens_a_feed() -> None:
    view = CatalogSnapshot()
    for n in range(30):
        view.apply_item(an_item(f"i{n}"))
        view.apply_stats(stats(f"i{n}"))
    view.refresh()
    assert len(feed(features(), view).items) == PARAMS.max_recommendations


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kinds", [3, 1_000])
def test_a_feed_is_the_start_of_the_whole_order(seed: int, kinds: int) -> None:
    """However many items share a score: the best are found without putting all in order."""
    draw, view = random.Random(seed), CatalogSnapshot()
    for number in range(900):
        view.apply_item(an_item(f"i{number}", category="all", created_at=1))
        view.apply_stats(stats(f"i{number}", popularity=float(draw.randrange(kinds)), trending=0.0))
    view.refresh()
    every = replace(PARAMS, max_recommendations=900, diversity_cap=1.0)
    assert (
        feed(features(), view, replace(every, max_recommendations=20)).items == feed(features(), view, every).items[:20]
    )


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
    view = CatalogSnapshot()
    view.refresh()
    assert feed(features(), view).items == []


def test_a_disliked_item_brings_nothing() -> None:
    recent = [RecentItem(item_id="i0", weight=-2.0, at=T0_MS)]
    found = feed(features(recent=recent, seen=["i0"], event_count=10))
    assert "neighbors" not in found.parts


def test_what_was_fetched_for_a_person_comes_before_what_is_like_it() -> None:
    found = feed(features(prefetched=["i59", "unheard"], event_count=10))
    assert found.items[0] == "i59"
    assert (found.sources[0], found.reasons[0]) == ("prefetched", "Found for you")
    assert "i59" not in feed(features(prefetched=["i59"], seen=["i59"], event_count=10)).items[:10]


def test_what_was_fetched_stands_beside_the_best_however_much_outcomes_have_taught_of_the_rest() -> None:
    view, blender = a_view(), new_blender()
    blender.table[0] *= 10.0
    blender.table[0, blender.features.index("prefetched")] = PRIOR["prefetched"]
    person, fetched = a_fan_of("i0", prefetched=["i30", "i31"]), {"i30", "i31"}
    found = rank(person, view, blender, PARAMS, now_ms=T0_MS)
    assert fetched <= set(found.items)
    everything = rank(person, view, blender, replace(PARAMS, max_recommendations=200), now_ms=T0_MS)
    scores = dict(zip(everything.items, everything.scores, strict=True))
    rest = [scores[item] for item in scores if item not in {*fetched, "i0"}]
    usual = sum(rest) / len(rest)
    assert (scores["i30"] + scores["i31"]) / 2 == pytest.approx(usual + 0.8 * (max(rest) - usual), rel=1e-3)
    place = found.items.index("i30")
    assert rank(person, view, blender, PARAMS, now_ms=T0_MS) == found
    assert sum(part[place] for part in found.parts.values()) == pytest.approx(found.scores[place], abs=1e-5)


def test_what_was_fetched_is_a_candidate_of_a_catalogue_too_large_to_score_whole() -> None:
    params = replace(RANK_PARAMS, max_recommendations=5, source_items=2, exact_items=10)
    assert "i57" not in feed(features(event_count=10), params=params).items
    assert "i57" in feed(features(event_count=10, prefetched=["i57", "unheard"]), params=params).items


def test_fetched_items_that_are_not_in_the_snapshot_yet_are_reported() -> None:
    view = a_view()
    view.apply_item(an_item("new"))
    assert view.newer_items(["i1", "new", "unheard"]) == ["new", "unheard"]
    view.refresh()
    assert view.newer_items(["i1", "new", "unheard"]) == ["unheard"]
    assert "new" not in feed(features(prefetched=["new"]), a_view()).items


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
    ("where", "shown"),
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
    where: dict[str, str], shown: str, exact_items: int, feed_items: int
) -> None:
    params = replace(RANK_PARAMS, max_recommendations=feed_items, exact_items=exact_items)
    person = features(prefetched=[*PLACED], seen=["york-both", "lisbon-both"], **where)
    items = set(feed(person, a_placed_view(), params).items)
    near = {item_id for item_id in PLACED if item_id.startswith(shown)}
    assert items <= near | {"anywhere", "everywhere"}
    assert len(items) == min(feed_items, len(near) + 2)


@pytest.mark.parametrize("exact_items", [100, 1])
@pytest.mark.parametrize("where", [{}, {"cell": "garbage"}, {"city": " "}])
def test_without_a_location_items_with_one_come_last_in_lists(where: dict[str, str], exact_items: int) -> None:
    params = replace(RANK_PARAMS, max_recommendations=5, exact_items=exact_items)
    found = feed(features(**where), a_placed_view(), params)
    assert set(found.items[:2]) == {"anywhere", "everywhere"}
    assert (len(found.items), found.trailing) == (5, 3)
    assert set(found.items[2:]) <= set(PLACED)
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
    found = feed(features(), view, replace(RANK_PARAMS, max_recommendations=30, exact_items=1_000, source_items=30))
    assert set(found.items) == {f"i{n}" for n in range(0, 1_500, 50)}
    assert found.trailing == 0


def test_a_catalogue_of_places_alone_is_ranked_as_usual_without_a_location() -> None:
    view = a_view()
    for n in range(60):
        view.apply_item(an_item(f"i{n}", category=CATEGORIES[n % 4], created_at=n, cell=BERLIN))
    view.refresh()
    assert feed(a_fan_of("i0"), view).items == feed(a_fan_of("i0")).items


def test_given_items_that_are_far_away_come_last_and_none_is_left_out() -> None:
    names = [*PLACED, "anywhere", "nobody's"]
    found = rank(features(city="Lisbon"), a_placed_view(), new_blender(), PARAMS, now_ms=T0_MS, among=names)
    assert set(found.items) == set(names)
    assert set(found.items[:4]) == {"lisbon-both", "lisbon-cell", "lisbon-city", "anywhere"}
    assert found.items[-1] == "nobody's"


SOLD_OUT = ({"stock": 0}, {"attributes": {"stock": "0"}}, {"attributes": {"availability": "out of stock"}})


@pytest.mark.parametrize("told", SOLD_OUT)
@pytest.mark.parametrize("exact_items", [1_000, 1])
def test_what_is_out_of_stock_is_left_out_or_comes_last(told: dict[str, Any], exact_items: int) -> None:
    view, hiding = a_view(), replace(PARAMS, max_recommendations=200, exact_items=exact_items)
    view.apply_item(an_item("i0", category="music", **told))
    view.refresh()
    shown = feed(features(), view, hiding).items
    assert len(shown) == 59
    assert "i0" not in shown
    assert "i0" not in feed(a_fan_of("i0"), view, hiding).items, "nor as one that was seen before"
    last = feed(features(), view, replace(hiding, hides_out_of_stock=False)).items
    assert (len(last), last[-1]) == (60, "i0")
    given = rank(features(), view, new_blender(), hiding, now_ms=T0_MS, among=["i0", "i1", "i2"])
    assert given.items[-1] == "i0"
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
    given = rank(features(), view, new_blender(), params, now_ms=T0_MS, among=["mine", "i1"])
    assert dict(zip(given.items, given.sources, strict=True))["mine"] == "unknown"
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
    found = feed(person, view, params)
    assert found.items[0] not in ("i0", "new"), "what is popular leads"
    assert found.reasons[found.items.index("new")] == "You like klezmer"
    view.remove_item("new")
    view.refresh()
    assert "new" not in feed(person, view, params).items


def test_a_catalogue_that_is_scored_whole_needs_no_content_index() -> None:
    view = a_large_view(exact_items=2_000)
    view.refresh()
    assert not view.is_stale
    fan = whom(a_fan_of("i0"), view, PARAMS, at_ms=T0_MS)
    assert len(candidate_sources.similar(fan, view, PARAMS)) == 0


def reranked(person: Features, *names: str, view: CatalogSnapshot | None = None) -> Feed:
    return rank(person, view or a_view(), new_blender(), PARAMS, now_ms=T0_MS, among=names)


def test_a_given_list_is_ranked_whole_and_alone_seen_and_muted_items_too() -> None:
    names = [f"i{n}" for n in range(40)]
    random.Random(1).shuffle(names)
    found = reranked(a_fan_of("i0", "i1", muted=["movies"]), *names)
    assert sorted(found.items) == sorted(names)
    assert set(found.items[:3]) == {"i21", "i22", "i23"}
    assert len(found.scores) == len(found.sources) == len(found.reasons) == len(names)


def test_a_given_list_is_ranked_as_the_feed_is() -> None:
    person = a_fan_of("i0", "i5", categories={"movies": 1.0})
    whole = feed(person, params=replace(RANK_PARAMS, max_recommendations=58, diversity_cap=1.0))
    given = list(reversed(whole.items[:20]))
    found = rank(person, a_view(), new_blender(), replace(RANK_PARAMS, diversity_cap=1.0), now_ms=T0_MS, among=given)
    assert found.items == whole.items[:20]
    assert found.scores == whole.scores[:20]


def test_given_items_that_the_catalogue_does_not_hold_come_last_as_given() -> None:
    view = a_view()
    view.remove_item("i5")
    view.refresh()
    found = reranked(a_fan_of("i0"), "x2", "i5", "i21", "x1", "x2", "i30", view=view)
    assert (set(found.items[:2]), found.items[2:]) == ({"i21", "i30"}, ["x2", "i5", "x1"])
    assert found.sources[2:] == ["unknown"] * 3
    assert max(found.scores[2:]) <= min(found.scores[:2])
    assert all(len(part) == 5 for part in found.parts.values())
    assert reranked(features(), "x1").items == ["x1"]
