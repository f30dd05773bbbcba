"""The index finds what a look at every vector finds, whatever came and went before."""

import numpy as np
import pytest

from models.text.ann_index import AnnIndex, Indices, Vectors

DIMENSIONS = 64


def some_vectors(count: int = 2_000, *, seed: int = 0) -> Vectors:
    """Return vectors around a hundred centres, as those of a catalogue are."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(100, DIMENSIONS))
    vectors = centres[draw.integers(100, size=count)] + 0.7 * draw.normal(size=(count, DIMENSIONS))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def numbers(count: int) -> Indices:
    return np.arange(count, dtype=np.int32)


def filled(vectors: Vectors) -> AnnIndex:
    index = AnnIndex(DIMENSIONS)
    index.put(numbers(len(vectors)), vectors)
    return index


def recall(index: AnnIndex, vectors: Vectors, there: Indices, *, most: int = 100) -> float:
    """Return the share of what is nearest to some vectors that the index finds, given what there is."""
    shares = []
    for query in vectors[::40]:
        likeness = vectors[there] @ query
        bound = np.sort(likeness)[-most]
        matches = index.nearest(query, most)
        assert set(matches.tolist()) <= set(there.tolist()), "what is gone is not found"
        shares.append(float(np.mean(vectors[matches] @ query >= bound - 1e-2)))
    return float(np.mean(shares))


def test_nearly_all_of_the_nearest_are_found() -> None:
    vectors = some_vectors()
    assert recall(filled(vectors), vectors, numbers(2_000)) >= 0.95


def test_the_nearest_comes_first() -> None:
    vectors = some_vectors()
    index = filled(vectors)
    assert [index.nearest(vectors[number], 5)[0] for number in range(50)] == list(range(50))


def test_what_is_taken_out_is_not_found_and_the_rest_still_is() -> None:
    vectors = some_vectors()
    index = filled(vectors)
    removed_numbers = np.random.default_rng(1).permutation(2_000)[:1_000].astype(np.int32)
    index.remove(removed_numbers)
    remaining_numbers = np.setdiff1d(numbers(2_000), removed_numbers)
    assert len(index) == 1_000
    assert recall(index, vectors, remaining_numbers, most=50) >= 0.95
    index.put(removed_numbers, vectors[removed_numbers])
    assert recall(index, vectors, numbers(2_000)) >= 0.95


def test_a_new_vector_takes_the_place_of_the_old_one() -> None:
    vectors = some_vectors()
    index = filled(vectors[:1_000])
    index.put(np.array([7], np.int32), vectors[1_500:1_501])
    assert len(index) == 1_000
    assert index.nearest(vectors[1_500], 1).tolist() == [7]
    assert 7 not in index.nearest(vectors[7], 1)


def test_stored_vectors_are_returned_and_zeros_for_missing_ones() -> None:
    vectors = some_vectors(10)
    stored_vectors = filled(vectors).vectors(np.array([3, 99, 0], np.int32))
    assert stored_vectors[[0, 2]] == pytest.approx(vectors[[3, 0]], abs=5e-3)
    assert not stored_vectors[1].any()


@pytest.mark.parametrize("length", [1e-3, 1e3])
def test_only_the_direction_counts(length: float) -> None:
    vectors = some_vectors()
    index = filled(vectors * np.float32(length))
    assert recall(index, vectors, numbers(2_000)) >= 0.95
    assert index.nearest(vectors[7] / np.float32(length), 1).tolist() == [7]
    assert np.linalg.norm(index.vectors(numbers(10)), axis=1) == pytest.approx(np.ones(10))


def test_of_an_empty_index_nothing_is_nearest() -> None:
    index = AnnIndex(DIMENSIONS)
    assert len(index.nearest(some_vectors(1)[0], 10)) == 0
    index.remove(numbers(3))
    assert len(filled(some_vectors(3)).nearest(some_vectors(1)[0], 10)) == 3
