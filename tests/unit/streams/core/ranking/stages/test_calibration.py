"""Calibration: stated interests of newcomers have their shares of every stretch of a feed, which loosen later."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from schemas.types import Features, RecentItem
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot
from streams.core.ranking.pipeline import new_blender, rank
from streams.core.ranking.ranking_query import ranking_query
from streams.core.ranking.stages.calibration import quotas
from tests.build import T0_MS, an_item, features
from tests.params import RANK_PARAMS

PARAMS = replace(RANK_PARAMS, max_recommendations=20, diversity_cap=1.0)
TOPICS = ("jazz", "hiking", "cooking", "opera")


def a_view() -> CatalogSnapshot:
    view = CatalogSnapshot()
    for topic in TOPICS:
        for number in range(20):
            view.apply_item(an_item(f"{topic}-{number}", category="events", topics=[topic]))
    view.refresh()
    return view


def topics(told_features: Features) -> Counter[str]:
    feed = rank(told_features, a_view(), new_blender(), PARAMS, now_ms=T0_MS)
    return Counter(item.partition("-")[0] for item in feed.items)


def test_stated_interests_share_the_feed_of_a_newcomer_and_leave_room_for_others() -> None:
    user_features = topics(features(preferred=["jazz", "hiking"]))
    assert abs(user_features["jazz"] - user_features["hiking"]) <= 1
    assert user_features["jazz"] >= 5
    assert user_features["cooking"] + user_features["opera"] >= 2


@pytest.mark.parametrize("clicks", [1, 3])
def test_a_click_moves_the_shares_and_takes_no_interest_away(clicks: int) -> None:
    recent = [RecentItem(item_id=f"jazz-{number}", weight=1.0, at=T0_MS) for number in range(clicks)]
    recent_ids = [one.item_id for one in recent]
    user_features = topics(features(preferred=["jazz", "hiking"], recent=recent, seen=recent_ids, event_count=clicks))
    assert user_features["jazz"] > user_features["hiking"] >= 2


def test_the_shares_loosen_as_events_add_up() -> None:
    view = a_view()
    least, width = [], []
    for events in (0, 10, 50, 200):
        whom = ranking_query(features(preferred=["jazz"], event_count=events), view, PARAMS, at_ms=T0_MS)
        [share] = quotas(whom, view.columns.listing.all_items, view, PARAMS)
        least.append(share.min_share)
        width.append(share.max_share - share.min_share)
    assert least == sorted(least, reverse=True)
    assert width == sorted(width)
    assert 0.3 <= least[0] <= 0.9
    assert least[-1] < 0.5 * least[0]
    whom = ranking_query(features(preferred=["jazz"], event_count=100_000), view, PARAMS, at_ms=T0_MS)
    assert quotas(whom, view.columns.listing.all_items, view, PARAMS) == []


@pytest.mark.parametrize("interests", [[], ["unknown"], ["unknown", "nothing of this"]])
def test_without_known_interests_there_are_no_shares(interests: list[str]) -> None:
    view = a_view()
    whom = ranking_query(features(preferred=interests), view, PARAMS, at_ms=T0_MS)
    assert quotas(whom, view.columns.listing.all_items, view, PARAMS) == []
