"""The orders of a feed: one for each class of time since the last event, few items, the same whenever it is ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from domain.timestamp import DAY_MS, HOUR_MS, MINUTE_MS
from models.blend.blender import Blender
from schemas.types import Features, Feed
from streams.core.ranking.ordering import OWN_ITEMS, orderings
from streams.core.ranking.pipeline import build_candidates, new_blender, rank, rank_candidates
from streams.core.ranking.ranking_query import ORDER_GAPS_MS, order_contexts
from streams.core.ranking.stages.features import PRIOR
from streams.core.ranking.stages.llm_blend import LlmRatings
from tests.build import T0_MS, an_item, features
from tests.params import LLM_BLEND_PARAMS
from tests.unit.streams.core.ranking.ranking_world import PARAMS, a_fan_of, a_view

VIEW = a_view(items=200)
GAP_ROWS = {0: 1, MINUTE_MS: 4, 6 * HOUR_MS: 6, 2 * DAY_MS: 7}
"""The gap class behind each order."""


def a_blender(**near_by_gap: float) -> Blender:
    """Return a blender in which the weight of `near` differs by gap class, such as `gap4=-2.0`."""
    blender = new_blender()
    near = list(PRIOR).index("near")
    for gap, weight in near_by_gap.items():
        blender.table[blender._rows((0, int(gap.removeprefix("gap")), 0, 0))[2], near] += weight
    return blender


def ranked(blender: Blender, user_features: Features | None = None, **options: Any) -> Feed:
    user_features = user_features or a_fan_of("i0")
    candidates = build_candidates(user_features, VIEW, PARAMS, at_ms=user_features.watermark)
    return rank_candidates(candidates, VIEW, blender, PARAMS, now_ms=T0_MS, **options).feed


def items_of(feed: Feed, number: int) -> list[str]:
    """Return the items of a later order."""
    names = [*feed.items, *(feed.others.items if feed.others else ())]
    return [names[index] for index in feed.orders[number].indices]


def test_weights_that_do_not_differ_by_gap_give_one_order() -> None:
    feed = ranked(new_blender())
    assert (feed.orders, feed.others) == ([], None)


def test_each_order_has_the_weights_of_the_class_that_begins_there() -> None:
    feed = ranked(a_blender(gap4=-9.0, gap6=-9.0, gap7=0.0))
    near = {"i21", "i22", "i23"}
    assert set(feed.items[:3]) == near
    assert [order.from_ms for order in feed.orders] == [MINUTE_MS, 2 * DAY_MS], (
        "from 6 h on it is that from a minute on"
    )
    assert not near & set(items_of(feed, 0)[:3])
    assert items_of(feed, 1) == feed.items, "the order before it differs, so that it cannot be left out"


def test_a_later_order_is_what_a_ranking_at_that_time_would_begin_with() -> None:
    blender = a_blender(gap4=-9.0)
    feed = ranked(blender)
    person = a_fan_of("i0")
    late = build_candidates(person, VIEW, PARAMS, at_ms=person.watermark + MINUTE_MS)
    later = rank_candidates(late, VIEW, blender, PARAMS, now_ms=T0_MS).feed
    assert later.items[:OWN_ITEMS] == items_of(feed, 0)[:OWN_ITEMS]


def test_what_only_later_orders_hold_is_bounded_and_described() -> None:
    blender = new_blender()
    rng, rows = np.random.default_rng(0), blender.table
    for gap in (4, 6, 7):
        rows[blender._rows((0, gap, 0, 0))[2]] = rng.normal(0.0, 3.0, rows.shape[1])
    feed = ranked(blender, a_fan_of("i0", categories={"movies": 3.0, "music": 1.0}))
    assert len(feed.items) == PARAMS.max_recommendations
    assert feed.others is not None
    count = len(feed.others.items)
    assert 0 < count <= len(feed.orders) * OWN_ITEMS
    assert not set(feed.others.items) & set(feed.items)
    columns = (feed.others.scores, feed.others.sources, feed.others.reasons, *feed.others.parts.values())
    assert {len(column) for column in columns} == {count}
    assert list(feed.others.parts) == list(feed.parts)
    for place, score in enumerate(feed.others.scores):
        assert sum(part[place] for part in feed.others.parts.values()) == pytest.approx(score, abs=1e-5)
    for order in feed.orders:
        assert len(order.indices) == len(set(order.indices)) == PARAMS.max_recommendations
        assert 0 <= min(order.indices) <= max(order.indices) < PARAMS.max_recommendations + count


def test_the_items_of_today_are_the_first_order_whatever_follows() -> None:
    feed, alone = ranked(a_blender(gap4=-9.0, gap7=-3.0)), ranked(a_blender(gap4=-9.0), is_read_later=False)
    assert feed.orders
    assert (feed.items, feed.scores, feed.reasons) == (alone.items, alone.scores, alone.reasons)
    assert not alone.orders


def test_a_ranking_of_an_absent_user_begins_with_the_order_of_that_time() -> None:
    blender, person = a_blender(gap4=-9.0, gap6=-9.0, gap7=3.0), a_fan_of("i0")
    for away_ms, later in ((0, [MINUTE_MS, 2 * DAY_MS]), (DAY_MS, [2 * DAY_MS]), (3 * DAY_MS, [])):
        candidates = build_candidates(person, VIEW, PARAMS, at_ms=person.watermark + away_ms)
        feed = rank_candidates(candidates, VIEW, blender, PARAMS, now_ms=T0_MS).feed
        assert [order.from_ms for order in feed.orders] == later


def test_newcomers_have_one_order() -> None:
    assert ranked(a_blender(gap4=-9.0), features()).orders == []


def test_a_given_list_has_one_order() -> None:
    feed = rank(a_fan_of("i0"), VIEW, a_blender(gap4=-9.0), PARAMS, now_ms=T0_MS, among=["i21", "i1", "i2"])
    assert feed.orders == []


def test_a_short_catalogue_is_in_every_order_as_a_whole() -> None:
    view, blender, person = a_view(items=9), a_blender(gap4=-9.0), a_fan_of("i0")
    view.apply_item(an_item("i21", category="music"))
    view.refresh()
    candidates = build_candidates(person, view, PARAMS, at_ms=person.watermark)
    feed = rank_candidates(candidates, view, blender, PARAMS, now_ms=T0_MS).feed
    assert feed.others is None
    assert len(feed.items) < PARAMS.max_recommendations
    for order in feed.orders:
        assert sorted(order.indices) == list(range(len(feed.items)))
    assert feed.orders


def test_scores_of_a_language_model_count_in_every_order() -> None:
    before = ranked(a_blender(gap4=-9.0))
    first, later = before.items[0], items_of(before, 0)[0]
    feed = ranked(a_blender(gap4=-9.0), llm=LlmRatings({first: 0.0, later: 0.0}, LLM_BLEND_PARAMS))
    assert first != feed.items[0]
    assert later != items_of(feed, 0)[0]
    assert len(feed.ml_scores) == len(feed.items)
    assert feed.others is None or len(feed.others.ml_scores) == len(feed.others.items)


def test_the_same_inputs_give_the_same_orders() -> None:
    blender = a_blender(gap4=-9.0, gap6=2.0)
    assert ranked(blender) == ranked(blender)


def test_an_order_made_alone_is_the_one_made_with_the_others() -> None:
    blender, person = a_blender(gap4=-9.0, gap6=2.0, gap7=-3.0), a_fan_of("i0")
    candidates = build_candidates(person, VIEW, PARAMS, at_ms=person.watermark)
    contexts = order_contexts(candidates.query)
    assert [from_ms for from_ms, _ in contexts] == list(ORDER_GAPS_MS)
    assert {from_ms: context[1] for from_ms, context in contexts} == GAP_ROWS
    together = orderings(candidates, contexts, blender, catalog=VIEW, params=PARAMS, llm=None)
    for context in contexts[1:]:
        *_, last = orderings(candidates, [contexts[0], context], blender, catalog=VIEW, params=PARAMS, llm=None)
        expected = [one for one in together if one.from_ms <= context[0]][-1]
        assert expected.selection.tolist() == last.selection.tolist()
