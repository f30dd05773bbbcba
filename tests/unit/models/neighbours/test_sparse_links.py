"""Sparse links: sums equal those of a full table, full rows drop their weakest links, damping follows event counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.neighbours.sparse_links import LinkScores, SimilarityQuery, SparseLinks, strongest

ITEMS, CHANNELS = 40, 2
POWER = 0.5

links_of_items = st.lists(
    st.tuples(st.integers(0, ITEMS - 1), st.sets(st.integers(0, ITEMS - 1), max_size=ITEMS), st.floats(0.125, 8.0)),
    max_size=30,
)


def three_items() -> SparseLinks:
    links = SparseLinks(1)
    for item, count in enumerate((4.0, 9.0, 16.0)):
        links.add_events(item, count)
    links.link(0, np.array([1, 2], np.int32), into=np.ones((1, 2)), out=np.ones((1, 2)))
    return links


def scores_for(links: SparseLinks, item: int, *, damping: float = 0.0, count: int = 4) -> LinkScores:
    query = SimilarityQuery(0, np.ones((1, 1)), damping)
    return links.scores(np.array([item], np.int32), query, out=np.empty((1, count), np.float32))[0]


@settings(deadline=None)
@given(links_of_items, st.booleans())
def test_sums_equal_those_of_a_full_table(events: list[tuple[int, set[int], float]], is_learned: bool) -> None:
    links, table = SparseLinks(CHANNELS, is_learned=is_learned), np.zeros((CHANNELS, ITEMS, ITEMS))
    for item, other, weight in events:
        others = np.array(sorted(other), np.int32)
        into, out = np.full((CHANNELS, len(others)), weight), np.full((CHANNELS, len(others)), 2 * weight)
        out[1] = 0.0
        links.link(item, others, into=into, out=out)
        table[:, others, item] += into
        table[:, item, others] += out
    queries = SimilarityQuery(0, np.array([[1.0, 0.5, 0.25]])), SimilarityQuery(1, np.array([[1.0], [2.0]]))
    items = np.array([3, 5, 39], np.int32)
    scores = links.scores(items, *queries, out=np.empty((3, ITEMS), np.float32))
    expected = [np.array([1.0, 0.5, 0.25]) @ table[0, items], table[1, 3], 2 * table[1, 3]]
    np.testing.assert_allclose(scores, np.stack(expected), rtol=1e-5)
    everything = np.arange(ITEMS, dtype=np.int32)
    np.testing.assert_allclose(links.between(everything, everything, channel=0), table[0], rtol=1e-5)
    for item in range(ITEMS):
        others, sums = links.row(item)
        assert {*others.tolist()} == {*np.flatnonzero(table[:, item].any(axis=0)).tolist()}
        np.testing.assert_allclose(sums, table[:, item][:, others], rtol=1e-5)


@settings(deadline=None)
@given(
    links_of_items,
    st.lists(st.integers(-1, ITEMS + 5), max_size=8),
    st.integers(1, ITEMS),
    st.booleans(),
)
def test_sparse_scores_are_those_of_the_linked_items_to_the_last_digit(
    events: list[tuple[int, set[int], float]], history: list[int], count: int, is_learned: bool
) -> None:
    links = SparseLinks(CHANNELS, is_learned=is_learned)
    for item, other, weight in events:
        others = np.array(sorted(other), np.int32)
        links.add_events(item, weight)
        links.link(item, others, into=np.full((CHANNELS, len(others)), weight), out=np.ones((CHANNELS, len(others))))
    items = np.array(history, np.int32)
    weights = 0.7 ** np.arange(len(items))
    queries = (
        SimilarityQuery(0, np.stack([weights, np.sqrt(weights)]), POWER),
        SimilarityQuery(1, weights[None, :2], POWER),
        SimilarityQuery(0, weights[None, :1], 0.15),
    )
    dense = links.scores(items, *queries, out=np.empty((4, count), np.float32))
    sparse = links.sparse_scores(items, *queries, count=count)
    assert set(sparse.items.tolist()) >= set(np.flatnonzero(dense.any(axis=0)).tolist())
    assert sparse.items.max(initial=-1) < count
    np.testing.assert_array_equal(sparse.at(np.arange(count, dtype=np.int32)), dense)
    np.testing.assert_array_equal(sparse.scores, dense[:, sparse.items])


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-3, 9), min_size=12, max_size=12), max_size=4), st.integers(1, 14))
def test_the_strongest_are_those_of_a_sort(rows: list[list[int]], limit: int) -> None:
    scores = np.array(rows, np.float32).reshape(len(rows), 12)
    indices = strongest(scores, limit).tolist()
    for row in scores:
        best = sorted((score for score in row.tolist() if score > 0), reverse=True)[:limit]
        own, indices = indices[: len(best)], indices[len(best) :]
        assert sorted(row[own].tolist(), reverse=True) == best
        assert len(set(own)) == len(own)
    assert not indices


def test_any_number_of_items_has_links() -> None:
    links = SparseLinks(1)
    for item in range(1, 20_000):
        links.link(item, np.array([item - 1], np.int32), into=np.ones((1, 1)), out=np.ones((1, 1)))
    assert [links.row(item)[0].tolist() for item in (0, 7_000, 19_999)] == [[1], [6_999, 7_001], [19_998]]
    assert links.nbytes < 20_000 * 400


def test_a_full_row_drops_its_weakest_links_for_their_popularity() -> None:
    links = SparseLinks(1, limits=(8, 8))
    for other in range(1, 9):
        links.add_events(other, 100.0 if other in {3, 4} else 1.0)
        links.link(0, np.array([other], np.int32), into=np.zeros((1, 1)), out=np.full((1, 1), 2.0 + other))
    assert not links.dropped_links
    links.link(0, np.array([9], np.int32), into=np.zeros((1, 1)), out=np.ones((1, 1)))
    others, sums = links.row(0)
    assert others.tolist() == [1, 2, 5, 6, 7, 8, 9], "5 and 6 of 100 events are less than 3 of one"
    assert sums[0].tolist() == [3.0, 4.0, 7.0, 8.0, 9.0, 10.0, 1.0]
    assert links.dropped_links == 2


def test_a_loaded_row_replaces_the_one_before_and_keeps_its_strongest_links() -> None:
    links = SparseLinks(1, limits=(8, 8))
    links.put(0, np.arange(1, 9, dtype=np.int32), np.ones((1, 8)), 3.0)
    links.put(0, np.array([7], np.int32), np.full((1, 1), 5.0), 4.0)
    assert (links.row(0)[0].tolist(), links.event_count(0)) == ([7], 4.0)
    links.put(0, np.arange(1, 11, dtype=np.int32), np.arange(10.0)[None], 4.0)
    assert links.row(0)[0].tolist() == list(range(3, 11))
    links.put(0, np.empty(0, np.int32), np.empty((1, 0)), 4.0)
    assert not scores_for(links, 0, count=12).any()


def test_the_more_items_have_links_the_shorter_rows_become() -> None:
    links = SparseLinks(1, limits=(8, 64), links=256)
    one = np.ones((1, 1))

    def fill(item: int) -> int:
        for other in range(100, 164):
            links.link(item, np.array([other], np.int32), into=np.zeros((1, 1)), out=one)
        return links.row(item)[0].size

    assert fill(0) == 64
    for item in range(1, 8):
        fill(item)
    assert links.row_limit == 32
    assert 12 <= fill(8) <= 16, "nine rows share the links"
    for item in range(9, 80):
        fill(item)
    assert links.row_limit == 8
    assert fill(0) <= 64, "a row that is not full stays as it is"
    links.link(0, np.array([99], np.int32), into=np.zeros((1, 1)), out=one)
    assert links.row(0)[0].size == 7


def test_abandoned_places_are_used_again() -> None:
    links = SparseLinks(1)
    size = 0
    for item in range(64):
        for other in range(1, 33):
            links.link(item, np.array([100 + other], np.int32), into=np.zeros((1, 1)), out=np.ones((1, 1)))
        size = size or links.nbytes
    assert links.nbytes < 4 * size


def test_what_is_cleared_is_gone() -> None:
    links = three_items()
    links.clear()
    assert not scores_for(links, 0).any()
    assert (links.event_count(0), links.row(0)[0].size) == (0.0, 0)
    links.link(1, np.array([2], np.int32), into=np.ones((1, 1)), out=np.ones((1, 1)))
    assert scores_for(links, 1).tolist() == [0, 0, 1, 0]


def test_scores_are_divided_by_the_power_of_each_query() -> None:
    links, out = three_items(), np.empty((3, 3), np.float32)
    weights = np.ones((1, 1))
    queries = [SimilarityQuery(0, weights, power) for power in (0.0, 0.5, 1.0)]
    links.scores(np.array([0], np.int32), *queries, out=out)
    np.testing.assert_allclose(out, [[0, 1, 1], [0, 1 / 3, 1 / 4], [0, 1 / 9, 1 / 16]], rtol=1e-6)


def test_an_item_beyond_the_candidates_gets_no_score() -> None:
    assert scores_for(three_items(), 0, count=2).tolist() == [0, 1]
    assert not scores_for(three_items(), 1_000_000).any()
    assert not scores_for(three_items(), -1).any()


@pytest.mark.parametrize(
    "change",
    [
        lambda links: links.add_events(1, 7.0),
        lambda links: links.add_events(3, 1.0),
        lambda links: links.put(2, np.array([0], np.int32), np.array([[5.0]]), 25.0),
        lambda links: links.scale(0.25),
        lambda links: [links.add_events(item, 1.0) for item in range(3, 80)],
    ],
    ids=["more events", "a new item", "a row replaced", "another reference", "grown"],
)
def test_damping_is_up_to_date_after(change: Callable[[SparseLinks], object]) -> None:
    cached_links, plain_links = three_items(), three_items()
    scores_for(cached_links, 0, damping=POWER)
    for links in (cached_links, plain_links):
        change(links)
    scores, expected = (scores_for(links, 0, damping=POWER) for links in (cached_links, plain_links))
    np.testing.assert_array_equal(scores, expected)
    assert scores.any()
