"""Links between items: what is damped follows every change of the masses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from models.neighbours.item_item_matrix import ItemItemMatrix, Scores, SimilarityQuery

POWER = 0.5


def a_table(*, places: int = 64) -> ItemItemMatrix:
    links = ItemItemMatrix(1, slots=places)
    for item, mass in enumerate((4.0, 9.0, 16.0)):
        links.add_mass(item, mass)
    links.link(0, np.array([1, 2], np.int32), into=np.ones((1, 2)), out=np.ones((1, 2)))
    return links


def votes_for(links: ItemItemMatrix, item: int, *, damping: float, count: int = 4) -> Scores:
    query = SimilarityQuery(0, np.ones((1, 1)), damping)
    return links.scores(np.array([item], np.int32), query, out=np.empty((1, count), np.float32))[0]


def test_votes_are_divided_by_the_power_that_each_question_asks_for() -> None:
    links, out = a_table(), np.empty((3, 3), np.float32)
    weights = np.ones((1, 1))
    links.scores(
        np.array([0], np.int32),
        SimilarityQuery(0, weights),
        SimilarityQuery(0, weights, 0.5),
        SimilarityQuery(0, weights, 1.0),
        out=out,
    )
    np.testing.assert_allclose(out, [[0, 1, 1], [0, 1 / 3, 1 / 4], [0, 1 / 9, 1 / 16]], rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda links: links.add_mass(1, 7.0),
        lambda links: links.add_mass(3, 1.0),
        lambda links: links.put(2, np.array([0], np.int32), np.array([[5.0]]), 25.0),
        lambda links: links.scale(0.25),
        lambda links: [links.add_mass(item, 1.0) for item in range(3, 80)],
    ],
    ids=["more events", "a new item", "a row taken over", "another reference", "grown"],
)
def test_what_damps_is_up_to_date_after(change: Callable[[ItemItemMatrix], object]) -> None:
    asked_before, never_asked = a_table(), a_table()
    votes_for(asked_before, 0, damping=POWER)
    for links in (asked_before, never_asked):
        change(links)
    scores, expected = (votes_for(links, 0, damping=POWER) for links in (asked_before, never_asked))
    np.testing.assert_array_equal(scores, expected)
    assert scores.any()


def test_an_item_that_lost_its_place_gets_no_votes_and_damps_nobody() -> None:
    links = a_table(places=3)
    votes_for(links, 1, damping=POWER)
    links.add_mass(3, 100.0)  # takes the place of item 0, the lightest
    links.link(3, np.array([1], np.int32), into=np.ones((1, 1)), out=np.ones((1, 1)))
    np.testing.assert_allclose(votes_for(links, 1, damping=POWER), [0, 0, 0, 0.1], rtol=1e-6)
