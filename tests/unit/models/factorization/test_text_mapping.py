"""Text mapping: what texts tell about embeddings, and nothing where they tell nothing."""

from __future__ import annotations

import numpy as np

from models.factorization.text_mapping import MIN_ITEMS, TextMapping, Vectors

TEXT, SIZE, TOPICS = 64, 16, 8


def texts(topics: Vectors, draw: np.random.Generator) -> Vectors:
    """Return texts of unit length, each of a topic's words and of words of its own."""
    words = np.random.default_rng(99).standard_normal((TOPICS, TEXT)).astype(np.float32)
    vectors = words[topics.astype(int)] + 0.5 * draw.standard_normal((len(topics), TEXT)).astype(np.float32)
    unit_vectors: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_vectors


def world(count: int, seed: int = 0) -> tuple[Vectors, Vectors, Vectors]:
    """Return the topics, texts and embeddings of items that are liked by their topics, with noise."""
    draw = np.random.default_rng(seed)
    topics = draw.integers(TOPICS, size=count).astype(np.float32)
    means = 2.0 * np.random.default_rng(98).standard_normal((TOPICS, SIZE + 1)).astype(np.float32)
    noise = draw.standard_normal((count, SIZE + 1)).astype(np.float32)
    return topics, texts(topics, draw), means[topics.astype(int)] + noise


def test_new_items_are_placed_beside_learned_items_of_their_topic() -> None:
    mapping = TextMapping()
    _, known_texts, known_embeddings = world(400)
    mapping.fit(known_texts, known_embeddings)
    assert min(mapping.trust) > 0.5
    _, new_texts, own_embeddings = world(100, seed=1)
    predictions, truth = mapping.embeddings(new_texts), own_embeddings - known_embeddings.mean(axis=0)
    lengths = np.linalg.norm(predictions, axis=1) * np.linalg.norm(truth, axis=1)
    assert np.mean((predictions * truth).sum(axis=1) / lengths) > 0.7
    errors = np.square(predictions - truth).sum(), np.square(truth).sum()
    assert errors[0] < 0.5 * errors[1], "it errs less than no embedding at all"


def test_texts_that_tell_nothing_give_zeros() -> None:
    for seed in range(20):
        mapping = TextMapping()
        _, known_texts, known_embeddings = world(300, seed)
        shuffled_embeddings = np.random.default_rng(seed).permutation(known_embeddings)
        mapping.fit(known_texts, shuffled_embeddings)
        assert max(mapping.trust) < 0.1
        assert np.abs(mapping.embeddings(world(50, seed=100)[1])).max() < 0.02
        if not mapping.is_useful:
            assert not mapping.embeddings(known_texts).any()


def test_embeddings_and_biases_are_trusted_apart() -> None:
    mapping = TextMapping()
    _, known_texts, known_embeddings = world(400)
    known_embeddings[:, -1] = np.random.default_rng(3).standard_normal(400)
    mapping.fit(known_texts, known_embeddings)
    assert mapping.trust[0] > 0.5
    assert mapping.trust[1] < 0.1


def test_few_items_tell_nothing() -> None:
    mapping = TextMapping()
    _, known_texts, known_embeddings = world(MIN_ITEMS - 1)
    mapping.fit(known_texts, known_embeddings)
    assert not mapping.is_useful


def test_the_same_items_give_the_same_mapping() -> None:
    one, other = TextMapping(), TextMapping()
    _, known_texts, known_embeddings = world(200)
    one.fit(known_texts, known_embeddings)
    other.fit(known_texts, known_embeddings)
    assert other.trust == one.trust
    np.testing.assert_array_equal(one.embeddings(known_texts), other.embeddings(known_texts))
