"""Times that make no sense, in any order: states stay finite, and no feed holds a score that is none."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Codec
from schemas.limit import OutOfRangeError
from schemas.record_limit import check
from schemas.types import Features, ItemStats
from streams.core.item import item_stats
from streams.core.item.item_stats import ItemSignal, ItemState
from streams.core.position import Position
from streams.core.ranking.catalog.catalog_snapshot import CatalogSnapshot, ItemLabels
from streams.core.ranking.ordering import score, weights_for
from streams.core.ranking.pipeline import build_candidates, new_blender, rank
from streams.core.user import user_state
from streams.core.user.user_state import UserState
from tests.build import T0_MS, an_interaction, an_item, features, stats
from tests.params import RANK_PARAMS, SIGNAL_PARAMS, USER_PARAMS
from tests.unit.models.test_decay import TIMES

PARAMS = replace(RANK_PARAMS, max_recommendations=10)
SUBJECT = ItemLabels("music", ("jazz", "opera"), "guide")
YEAR_MS = 365 * 86_400_000


@given(times=st.lists(TIMES, min_size=1, max_size=20))
def test_a_user_of_any_times_has_features_that_can_be_sent_and_ranked(times: list[int]) -> None:
    state, view = UserState("u1"), CatalogSnapshot()
    for item in ("i1", "i2", "i3"):
        view.apply_item(an_item(item))
    view.refresh()
    for number, at_ms in enumerate(times, 1):
        event = an_interaction(event_id=str(number), item_id=f"i{number % 2}", occurred_at=at_ms)
        user_state.fold(state, event, Position(0, number, T0_MS + number), subject=SUBJECT, params=USER_PARAMS)
        user_features = user_state.snapshot(state, USER_PARAMS)
        values = [
            *user_features.categories.values(),
            *user_features.topics.values(),
            *user_features.sources.values(),
            *user_features.hours,
        ]
        assert all(map(math.isfinite, values))
    codec = Codec(Features, schema_id=1)
    assert codec.decode(codec.encode(user_features)) == user_features
    assert [at_ms for _, _, at_ms in state.recent] == sorted(times)
    feed = rank(user_features, view, new_blender(), PARAMS, now_ms=T0_MS)
    assert len(feed.items) == 3
    assert all(map(math.isfinite, feed.scores))


@given(times=st.lists(TIMES, min_size=1, max_size=20))
def test_an_item_of_any_times_has_stats_that_rank(times: list[int]) -> None:
    state, view = ItemState("i1"), CatalogSnapshot()
    for number, at_ms in enumerate(times, 1):
        record = item_stats.to_record(
            [ItemSignal("i1", Position(0, number, T0_MS + number), at_ms, "click", 1.0, segment="a")]
        )
        item_stats.fold(state, record, params=SIGNAL_PARAMS)
    for item in ("i1", "i2"):
        view.apply_item(an_item(item))
    view.apply_stats(stats("i2"))
    told_stats = item_stats.stats(state)
    codec = Codec(ItemStats, schema_id=1)
    view.apply_stats(codec.decode(codec.encode(told_stats)))
    view.refresh()
    user_features = rank(features(segment="a"), view, new_blender(), PARAMS, now_ms=T0_MS)
    assert {*user_features.items} == {"i1", "i2"}
    assert all(map(math.isfinite, user_features.scores))
    assert not np.isnan(view.columns.features).any()


@pytest.mark.parametrize("bad", [0, 1, 1_700_000_000, T0_MS - 20 * YEAR_MS])
def test_an_item_is_not_dated_by_one_wrong_clock(bad: int) -> None:
    state = ItemState("i1")
    times = [T0_MS + 5, bad, T0_MS + 9, T0_MS + 7]
    for number, at_ms in enumerate(times, 1):
        record = item_stats.to_record([ItemSignal("i1", Position(0, number, T0_MS + number), at_ms, "click", 1.0)])
        item_stats.fold(state, record, params=SIGNAL_PARAMS)
    assert item_stats.stats(state).first_at == T0_MS + 7, "the third of the earliest"


def test_late_events_are_put_where_they_belong() -> None:
    state = UserState("u1")
    for number, late_s in enumerate((0, -50, 20, -10, -50, 5), 1):
        event = an_interaction(event_id=str(number), item_id=f"i{number}", occurred_at=T0_MS + 1_000 * late_s)
        user_state.fold(state, event, Position(0, number, T0_MS + number), subject=SUBJECT, params=USER_PARAMS)
    assert [item for item, _, _ in state.recent] == ["i2", "i5", "i4", "i1", "i6", "i3"]
    assert state.watermark == T0_MS + 20_000


def test_a_late_event_gives_way_first_when_there_is_no_room() -> None:
    state, params = UserState("u1"), replace(USER_PARAMS, recent_items=2)
    for number, late_s in enumerate((0, 10, -50), 1):
        event = an_interaction(event_id=str(number), item_id=f"i{number}", occurred_at=T0_MS + 1_000 * late_s)
        user_state.fold(state, event, Position(0, number, T0_MS + number), subject=SUBJECT, params=params)
    assert [item for item, _, _ in state.recent] == ["i1", "i2"]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", ["trending", "popularity", "rating_sum"])
def test_what_is_not_finite_never_reaches_ranking(wrong: float, column: str) -> None:
    changed_stats = msgspec.structs.replace(stats("i3", rating_count=1, rating_sum=4.0), **{column: wrong})
    if column == "rating_sum" or wrong != -math.inf:
        with pytest.raises(OutOfRangeError, match=column):
            check(changed_stats, now_ms=T0_MS)
        return
    check(changed_stats, now_ms=T0_MS)  # the logarithm of an empty sum
    view = CatalogSnapshot()
    for number in range(12):
        view.apply_item(an_item(f"i{number}"))
        view.apply_stats(stats(f"i{number}", popularity=-float(number), rating_count=1, rating_sum=4.0))
    view.apply_stats(changed_stats)
    view.refresh()
    user_features = rank(features(event_count=3), view, new_blender(), PARAMS, now_ms=T0_MS)
    assert len(set(user_features.items)) == 10
    assert all(map(math.isfinite, user_features.scores))
    assert all(map(math.isfinite, [value for part in user_features.parts.values() for value in part]))


def test_an_item_with_a_non_finite_score_comes_last() -> None:
    view = CatalogSnapshot()
    for number in range(6):
        view.apply_item(an_item(f"i{number}"))
    view.refresh()
    view.columns.features[0, 2], view.columns.features[0, 4] = math.nan, math.inf
    with np.errstate(invalid="ignore"):
        user_features = rank(features(), view, new_blender(), PARAMS, now_ms=T0_MS)
    assert set(user_features.items[4:]) == {"i2", "i4"}
    assert all(map(math.isfinite, user_features.scores))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_still_give_a_feed(wrong: float) -> None:
    view, blender = CatalogSnapshot(), new_blender()
    for number in range(12):
        view.apply_item(an_item(f"i{number}"))
    view.refresh()
    blender.table[0, blender.features.index("fresh")] = wrong
    with np.errstate(invalid="ignore"):
        candidates = build_candidates(features(), view, PARAMS, at_ms=T0_MS)
        assert np.isfinite(score(candidates, weights_for(candidates.query, blender))).all()
        user_features = rank(features(), view, blender, PARAMS, now_ms=T0_MS)
    assert len(set(user_features.items)) == 10
    assert all(map(math.isfinite, user_features.scores))
