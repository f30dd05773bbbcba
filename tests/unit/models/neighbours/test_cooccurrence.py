"""Co-occurrence on a world whose right answer is known: even items go with even ones, odd with odd."""

from __future__ import annotations

import numpy as np
import pytest

from domain.timestamp import DAY_MS
from models.base import ModelEvent, ModelQuery
from models.neighbours.cooccurrence import NEXT, TOGETHER, Cooccurrence, DecayedCooccurrence
from models.neighbours.sparse_links import SimilarityQuery
from tests.unit.models.builder import T0_MS, checkerboard


def test_items_of_one_colour_go_together() -> None:
    model = Cooccurrence()
    model.learn(checkerboard())
    for item in range(12):
        neighbors, scores = model.row(f"i{item}", 5)
        assert neighbors
        assert all((int(other[1:]) - item) % 2 == 0 for other in neighbors)
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == 1.0


def test_a_query_is_answered_from_the_last_item_most() -> None:
    model = Cooccurrence()
    model.learn(checkerboard())
    matches = model.recommend([ModelQuery("new", (("i0", 1.0), ("i1", 1.0)), frozenset({"i0", "i1"}))], 3)[0]
    assert all(int(item[1:]) % 2 == 0 for item in matches.items[:1])


def test_links_halve_with_their_half_life() -> None:
    model = Cooccurrence(half_life_days=10)
    model.learn([ModelEvent("u1", "a", T0_MS, 1.0), ModelEvent("u1", "old", T0_MS, 1.0)])
    model.learn([ModelEvent("u2", "a", T0_MS + 10 * DAY_MS, 1.0), ModelEvent("u2", "new", T0_MS + 10 * DAY_MS, 1.0)])
    assert dict(zip(*model.row("a", 5), strict=True)) == pytest.approx({"new": 1.0, "old": 0.5})


def test_ages_of_silence_do_not_overflow() -> None:
    model = Cooccurrence(half_life_days=1)
    for age in range(5):
        at = T0_MS + age * 2_000 * DAY_MS
        model.learn([ModelEvent(f"u{age}", "a", at, 1.0), ModelEvent(f"u{age}", f"b{age}", at, 1.0)])
    assert model.row("a", 1)[0] == ["b4"]


def visited(*names: str) -> Cooccurrence:
    model = Cooccurrence()
    model.learn([ModelEvent("u1", name, T0_MS + number, 1.0) for number, name in enumerate(names)])
    return model


def test_a_return_says_nothing_new_of_what_goes_together() -> None:
    once, to_and_fro = visited("a", "b", "c"), visited("a", "b", "a", "b", "a", "b", "c")
    assert to_and_fro.row("a", 5)[0] == ["b", "c"]
    assert to_and_fro.row("a", 1) == once.row("a", 1)


def test_an_item_that_was_returned_to_is_as_near_as_it_was_last() -> None:
    assert visited("a", "x", "y", "a", "new").row("new", 3)[0] == ["a", "y", "x"]


def test_an_item_is_no_neighbour_of_itself() -> None:
    assert visited("a", "b", "a", "a").row("a", 5)[0] == ["b"]


def test_what_follows_counts_every_return() -> None:
    table = DecayedCooccurrence()
    table.learn(0, np.empty(0, np.int32), np.empty(0, np.int64), at_ms=T0_MS)
    for window, item in (([0], 1), ([1, 0], 0), ([0, 1, 0], 1)):
        back = np.arange(1, len(window) + 1)
        table.learn(item, np.array(window, np.int32), back, at_ms=T0_MS)
    others, sums = table.links.row(0)
    assert sums[NEXT][others == 1] == pytest.approx(1.0 + 1.0 + 0.25)


def test_a_return_changes_the_rows_of_what_it_follows_only() -> None:
    table = DecayedCooccurrence()
    for item in range(4):
        table.learn(item, np.arange(item)[::-1].astype(np.int32), np.arange(1, item + 1), at_ms=T0_MS)
    before = [table.links.row(item)[1].copy() for item in range(4)]
    table.learn(1, np.array([3, 2, 1, 0], np.int32), np.array([1, 2, 9, 9]), at_ms=T0_MS)
    changed_items = [item for item in range(4) if not np.array_equal(table.links.row(item)[1], before[item])]
    assert changed_items == [2, 3]
    assert table.links.event_count(1) == 2.0


def test_links_are_shares_of_the_events_of_their_item() -> None:
    table, weight = DecayedCooccurrence(half_life_days=10), np.empty((1, 2), np.float32)
    for user in range(4):
        table.learn(0, np.empty(0, np.int32), np.empty(0, np.int64), at_ms=T0_MS)
        if user:
            table.learn(1, np.array([0], np.int32), np.array([1]), at_ms=T0_MS)
    for days in (0, 10):  # what has decayed is the same share of what has decayed with it
        share = table.share(0, T0_MS + days * DAY_MS, damping=0.0)
        table.links.scores(np.array([0], np.int32), SimilarityQuery(TOGETHER, np.array([[share]])), out=weight)
        np.testing.assert_allclose(weight, [[0.0, 3 / 4]], rtol=1e-6)
    damped_share = table.share(0, T0_MS + 10 * DAY_MS, damping=0.5)
    table.links.scores(np.array([0], np.int32), SimilarityQuery(TOGETHER, np.array([[damped_share]]), 0.5), out=weight)
    np.testing.assert_allclose(weight, [[0.0, 3 / 4 / np.sqrt(3 / 2)]], rtol=1e-6)
    assert table.share(9, T0_MS, damping=0.5) == 0.0
