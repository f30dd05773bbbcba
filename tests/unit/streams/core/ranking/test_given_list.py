"""Ranking of a given list: all of its items, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace

from schemas.types import Features, Feed
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from tests.build import T0_MS, features
from tests.params import RANK_PARAMS
from tests.unit.streams.core.ranking.ranking_world import PARAMS, a_fan_of, a_view, feed


def reranked(person: Features, *names: str, view: CatalogSnapshot | None = None) -> Feed:
    return rank(person, view or a_view(), new_blender(), PARAMS, now_ms=T0_MS, among=names)


def test_a_given_list_is_ranked_whole_and_alone_seen_and_muted_items_too() -> None:
    names = [f"i{n}" for n in range(40)]
    random.Random(1).shuffle(names)
    ranked_feed = reranked(a_fan_of("i0", "i1", muted=["movies"]), *names)
    assert sorted(ranked_feed.items) == sorted(names)
    assert set(ranked_feed.items[:3]) == {"i21", "i22", "i23"}
    assert len(ranked_feed.scores) == len(ranked_feed.sources) == len(ranked_feed.reasons) == len(names)


def test_a_given_list_is_ranked_as_the_feed_is() -> None:
    person = a_fan_of("i0", "i5", categories={"movies": 1.0})
    whole = feed(person, params=replace(RANK_PARAMS, max_recommendations=58, diversity_cap=1.0))
    requested_items = list(reversed(whole.items[:20]))
    ranked_feed = rank(
        person, a_view(), new_blender(), replace(RANK_PARAMS, diversity_cap=1.0), now_ms=T0_MS, among=requested_items
    )
    assert ranked_feed.items == whole.items[:20]
    assert ranked_feed.scores == whole.scores[:20]


def test_given_items_that_the_catalogue_does_not_hold_come_last_as_given() -> None:
    view = a_view()
    view.remove_item("i5")
    view.refresh()
    ranked_feed = reranked(a_fan_of("i0"), "x2", "i5", "i21", "x1", "x2", "i30", view=view)
    assert (set(ranked_feed.items[:2]), ranked_feed.items[2:]) == ({"i21", "i30"}, ["x2", "i5", "x1"])
    assert ranked_feed.sources[2:] == ["unknown"] * 3
    assert max(ranked_feed.scores[2:]) <= min(ranked_feed.scores[:2])
    assert all(len(part) == 5 for part in ranked_feed.parts.values())
    assert reranked(features(), "x1").items == ["x1"]
