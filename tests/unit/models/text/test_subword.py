"""Subwords: what shares words or parts of words is near, anywhere and at any time."""

import numpy as np

from models.text.subword import Subword
from models.text.tfidf import DIMENSIONS


def test_vectors_have_unit_length_and_nothing_has_none() -> None:
    vectors = Subword().encode(["jazz night", "", "!?", "x"])
    assert vectors.shape == (4, DIMENSIONS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 0])


def test_inflected_and_misspelt_words_are_near() -> None:
    query_vector, near, misspelt, other = Subword().encode(
        ["hiking trail", "trails for hikers", "hikking trayl", "sourdough bread class"]
    )
    assert query_vector @ near > query_vector @ other + 0.2
    assert query_vector @ misspelt > query_vector @ other + 0.2


def test_what_was_encoded_elsewhere_compares() -> None:
    one, other = Subword(), Subword()
    one.encode(["something else first"])
    assert np.array_equal(one.encode(["jazz night"]), other.encode(["rock", "jazz night"])[1:])
