"""The writers of reasons, and their choice."""

from __future__ import annotations

import numpy as np

from schemas.types import Features, ItemNeighbors, RecentItem
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.reasons import (
    Reason,
    always,
    because_liked,
    in_category,
    leading_groups,
    likes,
    on_date,
    write_reasons,
)
from tests.build import T0_MS, an_item, features
from tests.params import RANK_PARAMS


def a_catalog() -> CatalogSnapshot:
    """Return a jazz concert with an event time, a film, and a film that goes with the first."""
    catalog = CatalogSnapshot()
    catalog.apply_item(
        an_item("concert", category="music", topics=["jazz", "live"], attributes={"starts": "2030-01-01"})
    )
    catalog.apply_item(an_item("film", category="films", topics=[], title="A film"))
    catalog.apply_item(an_item("sequel", category="films", topics=[]))
    catalog.apply_neighbors(
        ItemNeighbors(item_id="film", neighbors=["sequel"], scores=[9.0], mass=9.0, reference=T0_MS, watermark=T0_MS)
    )
    catalog.refresh()
    return catalog


def written(writers: list[Reason], user: Features | None = None) -> list[str]:
    """Return the reasons of the three items."""
    catalog = a_catalog()
    query = ranking_query(user or features(), catalog, RANK_PARAMS, at_ms=T0_MS)
    return write_reasons(np.arange(3, dtype=np.int32), writers, query, catalog)


def test_each_item_has_the_sentence_of_its_own_writer() -> None:
    now = always("Trending now")
    assert written([now, in_category("New in"), now]) == ["Trending now", "New in films", "Trending now"]


def test_the_topic_with_the_highest_affinity_is_named_else_the_category() -> None:
    user = features(topics={"live": 1.0, "jazz": 2.0})
    assert written([likes] * 3, user) == ["You like jazz", "You like films", "You like films"]


def test_an_event_time_is_written_out_and_items_without_one_have_another_sentence() -> None:
    [concert, film, _] = written([on_date(otherwise=always("Found for you"), suffix=", found for you")] * 3)
    assert concert.endswith(", found for you")
    assert film == "Found for you"


def test_the_liked_item_behind_a_link_is_named() -> None:
    user = features(recent=[RecentItem(item_id="film", weight=1.0, at=T0_MS)], event_count=1)
    assert written([because_liked] * 3, user)[2] == "Because you liked A film"
    assert written([because_liked] * 3) == ["Goes with what you looked at"] * 3


def test_the_group_that_is_furthest_above_the_mean_candidate_leads() -> None:
    contributions = np.array([[0.5, 0.9, 0.0], [0.4, 0.4, -1.0]])
    baseline = np.array([[0.4], [0.1]])
    assert leading_groups(["popular", "fresh"], contributions, baseline, default="none") == ["fresh", "popular", "none"]
