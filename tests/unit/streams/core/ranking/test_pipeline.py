"""Ranking: features and their reasons, cold starts, diversity, and independence of order and time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from msgspec import msgpack, structs

from infra.redis.stores.feed_codec import VERSION_CHARS, pack, unpack
from schemas.types import Features, Feed, ItemNeighbors, ItemWeights, RecentItem
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.stages.features import PRIOR
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction, an_item, features, stats
from tests.params import RANK_PARAMS, USER_PARAMS
from tests.unit.streams.core.ranking.ranking_world import PARAMS, a_fan_of, a_view, feed


def test_what_goes_with_the_last_item_leads_and_says_why() -> None:
    ranked_feed = feed(a_fan_of("i0"))
    assert set(ranked_feed.items[:3]) == {"i21", "i22", "i23"}
    assert ranked_feed.sources[0] == "neighbors"
    assert ranked_feed.reasons[0] == "Because you liked Title of i0"


def test_the_parts_add_up_to_the_score() -> None:
    ranked_feed = feed(a_fan_of("i0", categories={"movies": 3.0}))
    for place, score in enumerate(ranked_feed.scores):
        assert sum(part[place] for part in ranked_feed.parts.values()) == pytest.approx(score, abs=1e-6)
    assert {"neighbors", "affinity", "popular", "trending"} <= set(ranked_feed.parts), "there is something to add up"


def test_a_feed_names_the_newest_interaction_behind_it_and_still_does_in_the_store() -> None:
    ranked_feed = feed(a_fan_of("i0", interactions_offset=1_017))
    assert ranked_feed.interactions_offset == 1_017
    assert unpack(ranked_feed.user_id, pack(ranked_feed)).interactions_offset == 1_017
    older = msgpack.encode(
        msgpack.decode(pack(structs.replace(ranked_feed, reasons=[""] * len(ranked_feed.items)))[VERSION_CHARS:])[:-4]
    )
    assert unpack("ann", pack(ranked_feed)[:VERSION_CHARS] + older).interactions_offset == -1, (
        "one from before the field"
    )


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
        ranked_feed = feed(person, view)
        return dict(zip(ranked_feed.items, ranked_feed.scores, strict=True))

    person = a_fan_of("i0", topics={"topic-3": 5.0})
    whole = scores(person)
    raised_items = {item for item, score in whole.items() if score > whole["i7"]}
    assert raised_items == {"i1", "i2", "i3"}
    for item, less in (
        ("i1", scores(person, links=False)),
        ("i2", scores(person, tastes=False)),
        ("i3", scores(a_fan_of("i0"))),
    ):
        assert {name for name, score in less.items() if score > less["i7"]} == raised_items - {item}


@pytest.mark.parametrize("action", ["skip", "dislike", "hide"])
def test_what_was_ignored_comes_later_in_the_next_feed(action: str) -> None:
    view = CatalogSnapshot()
    for n in range(3):
        for topic in ("jazz", "rock"):
            view.apply_item(an_item(f"{topic}-{n}", topics=[topic]))
    view.refresh()
    state = UserState("u1")
    assert len(set(feed(user_state.snapshot(state, USER_PARAMS), view).scores)) == 1, "nothing is known of the user"
    event = an_interaction(item_id="rock-0", action=action)
    user_state.fold(state, event, Position(0, 0, T0_MS), subject=ItemLabels("music", ("rock",), ""), params=USER_PARAMS)
    user_features = feed(user_state.snapshot(state, USER_PARAMS), view)
    assert [item.partition("-")[0] for item in user_features.items[:5]] == ["jazz"] * 3 + ["rock"] * 2
    assert user_features.scores[2] > user_features.scores[3]


def test_newcomers_get_a_full_feed() -> None:
    user_features = feed(features())
    assert len(user_features.items) == len(set(user_features.items)) == PARAMS.max_recommendations
    assert user_features.items[:4] == ["i0", "i1", "i2", "i3"], "the most popular first"


def test_newcomers_of_a_group_get_what_is_popular_in_it() -> None:
    view = a_view()
    view.apply_stats(stats("i47", popularity=-9.0, trending=-9.0, segments={"25-34|f": 0.0}))
    view.refresh()
    assert "i47" in feed(features(segment="25-34|f"), view).items[:3]
    assert "i47" not in feed(features(), view).items[:3]


def test_stated_preferences_count_before_the_first_event() -> None:
    user_features = feed(
        features(preferred=["workshops"]), params=replace(RANK_PARAMS, max_recommendations=8, diversity_cap=1.0)
    )
    view = a_view()
    assert (
        Counter(view.labels_by_item[item].category for item in user_features.items).most_common(1)[0][0] == "workshops"
    )


def scores_of(ranked_feed: Feed) -> dict[str, float]:
    """Return scores by the part of the ids before the dash."""
    return {item.partition("-")[0]: score for item, score in zip(ranked_feed.items, ranked_feed.scores, strict=True)}


def test_acting_on_one_of_several_stated_things_puts_it_before_the_others() -> None:
    view = CatalogSnapshot()
    for topic in ("jazz", "hiking", "cooking", "opera"):
        for n in range(3):
            view.apply_item(an_item(f"{topic}-{n}", category="events", topics=[topic]))
    view.refresh()
    user = features(preferred=["jazz", "hiking", "cooking"])
    assert {topic: round(score, 3) for topic, score in scores_of(feed(user, view)).items()} == {
        "jazz": 0.8, "hiking": 0.8, "cooking": 0.8, "opera": 0.3
    }  # fmt: skip
    ranked_feed = feed(structs.replace(user, topics={"jazz": 1.0, "opera": 1.0}, event_count=1), view)
    assert ranked_feed.items[0].startswith("jazz"), "it leads, and the others keep their share of the feed"
    scores = scores_of(ranked_feed)
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
    user_features = feed(features(timezone="America/New_York"), view)  # it is 17:13 there, on a Tuesday
    assert user_features.items == ["tonight", "saturday", "later", "any-time"]
    assert user_features.reasons[0] == "Tonight"
    assert feed(features(timezone="Asia/Tokyo"), view).items[0] == "saturday", "there it is Wednesday"
    user = features(timezone="America/New_York", triggered_at=T0_MS + 4 * 86_400_000)
    assert feed(user, view).items == ["later", "any-time"], "a trigger tells the time, too"


def test_what_is_new_comes_before_what_is_equal_and_old() -> None:
    view = CatalogSnapshot()
    day_ms = 86_400_000
    for item_id, age_days in (("old", 3_000), ("new", 1), ("month", 30)):
        view.apply_item(an_item(item_id, created_at=T0_MS - age_days * day_ms))
    view.watermark = T0_MS
    view.refresh()
    user_features = feed(features(), view)
    assert user_features.items == ["new", "month", "old"]
    assert user_features.reasons[0] == "New in music"


def test_no_category_fills_a_window_beyond_the_cap() -> None:
    ranked_feed = feed(a_fan_of("i0", categories={"music": 50.0}))
    view = a_view()
    labels = [view.labels_by_item[item].category for item in ranked_feed.items]
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
    user_features = feed(features(recent=recent, seen=["i0"], event_count=10))
    assert "neighbors" not in user_features.parts


def test_what_was_fetched_for_a_person_comes_before_what_is_like_it() -> None:
    user_features = feed(features(prefetched=["i59", "unheard"], event_count=10))
    assert user_features.items[0] == "i59"
    assert (user_features.sources[0], user_features.reasons[0]) == ("prefetched", "Found for you")
    assert "i59" not in feed(features(prefetched=["i59"], seen=["i59"], event_count=10)).items[:10]


def test_what_was_fetched_stands_beside_the_best_however_much_outcomes_have_taught_of_the_rest() -> None:
    view, blender = a_view(), new_blender()
    blender.table[0] *= 10.0
    blender.table[0, blender.features.index("prefetched")] = PRIOR["prefetched"]
    person, prefetched_items = a_fan_of("i0", prefetched=["i30", "i31"]), {"i30", "i31"}
    ranked_feed = rank(person, view, blender, PARAMS, now_ms=T0_MS)
    assert prefetched_items <= set(ranked_feed.items)
    everything = rank(person, view, blender, replace(PARAMS, max_recommendations=200), now_ms=T0_MS)
    scores = dict(zip(everything.items, everything.scores, strict=True))
    rest = [scores[item] for item in scores if item not in {*prefetched_items, "i0"}]
    usual = sum(rest) / len(rest)
    assert (scores["i30"] + scores["i31"]) / 2 == pytest.approx(usual + 0.8 * (max(rest) - usual), rel=1e-3)
    place = ranked_feed.items.index("i30")
    assert rank(person, view, blender, PARAMS, now_ms=T0_MS) == ranked_feed
    assert sum(part[place] for part in ranked_feed.parts.values()) == pytest.approx(ranked_feed.scores[place], abs=1e-5)


def test_fetched_items_that_are_not_in_the_snapshot_yet_are_reported() -> None:
    view = a_view()
    view.apply_item(an_item("new"))
    assert view.newer_items(["i1", "new", "unheard"]) == ["new", "unheard"]
    view.refresh()
    assert view.newer_items(["i1", "new", "unheard"]) == ["unheard"]
    assert "new" not in feed(features(prefetched=["new"]), a_view()).items
