"""The matrix of fitted weights: rows replace rows, and a new item takes the slot of one without a row."""

from __future__ import annotations

import numpy as np

from models.neighbours.item_item_matrix import ItemItemMatrix


def indices(*items: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(items, np.int32)


def test_scores_are_weighted_sums_of_rows_and_zero_without_a_slot() -> None:
    matrix = ItemItemMatrix()
    matrix.put(2, indices(0, 5), np.array([1.0, -2.0]))
    matrix.put(5, indices(0), np.array([4.0]))
    scores = matrix.scores(indices(2, 5, 900), np.array([[1.0, 0.5, 9.0]]), out=np.empty((1, 7), np.float32))
    assert scores.tolist() == [[3, 0, 0, 0, 0, -2, 0]]
    matrix.put(2, indices(1), np.array([7.0]))
    np.testing.assert_array_equal(matrix.between(indices(2, 3), indices(0, 1, 3)), [[0, 7, 0], [0, 0, 0]])


def test_what_fills_the_matrix_replaces_it() -> None:
    matrix = ItemItemMatrix()
    matrix.put(2, indices(0, 5), np.array([1.0, -2.0]))
    matrix.fill(indices(0, 1), np.array([[0.0, 1.0], [2.0, 0.0]]))
    items, weights = matrix.block()
    assert (items.tolist(), weights.tolist()) == ([0, 1], [[0, 1], [2, 0]])
    assert not matrix.between(indices(2), indices(0, 5)).any()


def test_a_new_item_takes_the_slot_of_an_item_without_a_row() -> None:
    matrix = ItemItemMatrix(slots=3)
    matrix.put(0, indices(1, 2), np.array([1.0, 2.0]))
    matrix.put(2, indices(0), np.array([3.0]))
    matrix.put(7, indices(0), np.array([4.0]))
    np.testing.assert_array_equal(
        matrix.between(indices(0, 2, 7), indices(0, 1, 2, 7)), [[0, 0, 2, 0], [3, 0, 0, 0], [4, 0, 0, 0]]
    )
